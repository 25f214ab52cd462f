"""Times the same net in PyTorch, onnxruntime and Noisette in one run, and prints a Markdown table of ratios.

    pip install torch==2.15.0 diffusers==0.42.1 onnx onnxscript onnxruntime==1.32.0
    cargo build --release && python benches/peers/peers.py [--config weights/digits/config.json] [--rounds 5]

Machines are noisy, and only ratios within one run mean anything: Noisette is timed before and after its peers, whose figures
are medians (of --rounds steps of training, which PyTorch does eagerly in the faster of its memory formats; of three to twenty
times as many predictions). Weights are random; a net's speed does not depend on them.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time, warnings

warnings.filterwarnings("ignore")
THREADS = len(os.sched_getaffinity(0))


def median_ms(run, rounds):
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def pytorch_training(config, batch, rounds, channels_last):
    import torch
    from diffusers import UNet2DModel
    torch.set_num_threads(THREADS)
    net = UNet2DModel.from_config(config)
    format = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=format)
    optimizer = torch.optim.Adam(net.parameters(), 1e-4, fused=True)
    size = config["sample_size"]
    x = torch.randn(batch, config["in_channels"], size, size).to(memory_format=format)
    noise, t = torch.randn_like(x), torch.randint(0, 1000, (batch,))
    labels = torch.randint(0, config["num_class_embeds"], (batch,)) if config.get("num_class_embeds") else None

    def step():
        loss = torch.nn.functional.mse_loss(net(x, t, class_labels=labels).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    return median_ms(step, rounds)


def onnx_session(config, folder):
    import torch, onnxruntime
    from diffusers import UNet2DModel

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = UNet2DModel.from_config(config)

        def forward(self, sample, timestep, class_labels):
            return self.net(sample, timestep, class_labels=class_labels).sample

    size, path = config["sample_size"], os.path.join(folder, "net.onnx")
    example = (torch.randn(2, config["in_channels"], size, size), torch.tensor([3, 5]), torch.tensor([1, 2]))
    names = ["sample", "timestep", "class_labels"]
    axes = {name: {0: "n"} for name in names + ["eps"]}
    torch.onnx.export(Net().eval(), example, path, input_names=names, output_names=["eps"], dynamic_axes=axes, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_prediction(session, config, batch, rounds):
    import numpy as np
    size = config["sample_size"]
    feed = {
        "sample": np.random.randn(batch, config["in_channels"], size, size).astype(np.float32),
        "timestep": np.full(batch, 500, np.int64),
        "class_labels": np.arange(batch, dtype=np.int64) % 10,
    }
    return median_ms(lambda: session.run(None, feed), rounds)


def noisette(binary, config_path, work):
    """Milliseconds by (work, batch)."""
    only = ["--work", work] if work else []
    out = subprocess.run([binary, "bench", "--engine", "cpu", "--json", "--config", config_path, *only],
                         check=True, capture_output=True, text=True).stdout
    report = json.loads(out)
    return {(c["work"], c["batch"]): c["ms"] for c in report["cases"]}, report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="weights/digits/config.json")
    parser.add_argument("--binary", default="target/release/noisette")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", choices=["predict", "train"], help="only this work")
    args = parser.parse_args()
    config = json.load(open(args.config))
    ours_before, report = noisette(args.binary, args.config, args.work)
    rows = []
    if args.work != "train":
        with tempfile.TemporaryDirectory() as folder:
            session = onnx_session(config, folder)
            for batch in (1, 16, 64):
                peer = onnx_prediction(session, config, batch, args.rounds * (20 if batch == 1 else 3))
                rows.append(("predict", batch, "onnxruntime", peer))
    for batch in (16, 64) if args.work != "predict" else ():
        plain, last = (pytorch_training(config, batch, args.rounds, channels_last) for channels_last in (False, True))
        rows.append(("train", batch, "PyTorch, channels_last" if last < plain else "PyTorch", min(plain, last)))
    ours_after, _ = noisette(args.binary, args.config, args.work)

    import torch, onnxruntime
    print(f"PyTorch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {THREADS} threads, "
          f"{report['adapter']}, best product {report['peak_gflops']:.0f} GFLOP/s\n")
    print("| work | batch | peer | peer, images/s | Noisette, images/s | ratio |\n|---|---|---|---|---|---|")
    for work, batch, name, peer in rows:
        # Before and after the peers: the mean stands against drift.
        ours = (ours_before[work, batch] + ours_after[work, batch]) / 2
        print(f"| {work} | {batch} | {name} | {1e3 * batch / peer:.1f} | {1e3 * batch / ours:.1f} | {peer / ours:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
