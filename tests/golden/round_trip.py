#!/usr/bin/env python3
"""Carries a model from Noisette to PyTorch and back, and writes down the losses on the way.

    cargo build --release
    python tests/golden/round_trip.py target/release/noisette

`round_trip/here` is what `noisette train` left after three steps; PyTorch takes three more from it (`steps.safetensors`: the
batches and the losses) and leaves `round_trip/there` with `save_pretrained`, from which it takes three more. tests/round_trip.rs
starts from both folders, takes the same steps and must see the same losses.
"""

import gzip
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
OUT = HERE / "round_trip"
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def write_idx(path, images, labels):
    for name, magic, extents, values in [
        ("train-images-idx3-ubyte.gz", 0x803, images.shape, images),
        ("train-labels-idx1-ubyte.gz", 0x801, labels.shape, labels),
    ]:
        header = struct.pack(f">{1 + len(extents)}I", magic, *extents)
        (path / name).write_bytes(gzip.compress(header + bytes(values.flatten().tolist())))


def train_here(noisette, folder):
    """Three steps of `noisette train`, from the golden grey net made to predict v on a cosine schedule."""
    generator = torch.Generator().manual_seed(1)
    start, data = folder / "start", folder / "data"
    shutil.copytree(HERE / "grey", start)
    data.mkdir()
    scheduler = json.loads((start / "scheduler_config.json").read_text())
    scheduler.update(prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2")
    (start / "scheduler_config.json").write_text(json.dumps(scheduler))
    images = torch.randint(0, 256, (16, 8, 8), generator=generator)
    write_idx(data, images, torch.arange(16) % 10)
    command = f"{noisette} train --data {data} --from {start} --out {folder / 'run'} --engine cpu --batch 4 --steps 3 --lr 1e-3 --seed 5"
    subprocess.run(command.split(), check=True)
    subprocess.run([noisette, "export", "--weights", folder / "run", "--out", OUT / "here", "--dtype", "f32"], check=True)


def three_steps(net, scheduler, seed):
    """Adam on random pictures, as diffusers' train_unconditional does it; returns the batches and the losses."""
    generator = torch.Generator().manual_seed(seed)
    n, c, size = 2, net.config.in_channels, net.config.sample_size
    steps = {
        "sample": torch.randn(3, n, c, size, size, generator=generator).clamp(-1, 1),
        "noise": torch.randn(3, n, c, size, size, generator=generator),
        "timestep": torch.randint(0, 1000, (3, n), generator=generator),
        "class_labels": torch.randint(0, net.config.num_class_embeds, (3, n), generator=generator),
    }
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=1e-3), []
    for x_0, noise, t, labels in zip(*steps.values()):
        output = net(scheduler.add_noise(x_0, noise, t), t, class_labels=labels).sample
        loss = torch.nn.functional.mse_loss(output, scheduler.get_velocity(x_0, noise, t))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {**steps, "losses": torch.stack(losses)}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        train_here(Path(sys.argv[1]).resolve(), Path(folder))
    net = UNet2DModel.from_pretrained(OUT / "here")
    scheduler = DDPMScheduler.from_pretrained(OUT / "here")
    save_file(three_steps(net, scheduler, 2), OUT / "here" / "steps.safetensors")
    net.save_pretrained(OUT / "there")
    # diffusers notes where the model was loaded from: a path that means nothing elsewhere.
    config = OUT / "there" / "config.json"
    settings = json.loads(config.read_text())
    settings.pop("_name_or_path", None)
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    scheduler.save_pretrained(OUT / "there")
    save_file(three_steps(net, scheduler, 3), OUT / "there" / "steps.safetensors")


main()
