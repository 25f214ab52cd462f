#!/usr/bin/env python3
"""Writes the golden files beside it with PyTorch and diffusers; README.md says what each holds.

    pip install torch diffusers safetensors
    python make.py

Everything is float32, on the CPU, on one thread, from fixed seeds.
"""

import json
import math
from pathlib import Path

import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.schedulers import scheduling_ddpm
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def save(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, str(path))


def normal(generator, *shape):
    return torch.randn(shape, generator=generator)


# --- the two networks ------------------------------------------------------------------------------------------------

NETS = {
    # The switches of the original DDPM (google/ddpm-cifar10-32), in small.
    "rgb": dict(
        sample_size=8, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(6, 8, 10),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        downsample_padding=0, freq_shift=1, flip_sin_to_cos=False, attention_head_dim=None,
        norm_num_groups=2, norm_eps=1e-6,
    ),
    # Class-conditional, several heads, symmetric padding, an embedding width of its own.
    "grey": dict(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 12),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        downsample_padding=1, freq_shift=0, flip_sin_to_cos=True, attention_head_dim=4,
        norm_num_groups=4, norm_eps=1e-5, num_class_embeds=11, time_embedding_dim=20,
    ),
}
NULL_CLASS = 10
SCHEDULER = dict(
    num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear",
    variance_type="fixed_large", clip_sample=True, prediction_type="epsilon",
)
STUDENT = dict(
    num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction",
    timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True,
)


def randomise(net, generator):
    """Gives every parameter a value that no initialisation would: no ones, no zeros."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            noise = normal(generator, *p.shape)
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.3 * noise)
            elif name.startswith("class_embedding"):
                p.copy_(0.5 * noise)
            elif p.ndim == 1:
                p.copy_(0.2 * noise)
            else:
                p.copy_(noise / math.sqrt(p[0].numel()))


def inputs(net, generator, n, h, w):
    c = net.config.in_channels
    batch = {"sample": normal(generator, n, c, h, w).clamp(-2, 2)}
    batch["timestep"] = torch.tensor([0, 999, 437, 61][:n])
    if net.config.num_class_embeds:
        # One class twice, so that rows of the table collect more than one gradient, and the null class.
        batch["class_labels"] = torch.tensor([3, NULL_CLASS, 3, 7][:n])
    return batch


def epsilon(net, x, t, labels=None):
    return net(x, t, class_labels=labels).sample


def loss_of(net, scheduler, x0, noise, t, labels=None):
    return torch.nn.functional.mse_loss(epsilon(net, scheduler.add_noise(x0, noise, t), t, labels), noise)


def training(net, scheduler, generator, clip):
    """Ten Adam steps; returns inputs, losses, gradient norms and the changes after three steps."""
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    steps, n, c, h, w = 10, 2, net.config.in_channels, 8, 8
    data = {
        "sample": normal(generator, steps, n, c, h, w).clamp(-1, 1),
        "noise": normal(generator, steps, n, c, h, w),
        "timestep": torch.randint(0, 1000, (steps, n), generator=generator),
    }
    if net.config.num_class_embeds:
        data["class_labels"] = torch.randint(0, NULL_CLASS + 1, (steps, n), generator=generator)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses, norms, changes = [], [], {}
    for i in range(steps):
        labels = data["class_labels"][i] if "class_labels" in data else None
        loss = loss_of(net, scheduler, data["sample"][i], data["noise"][i], data["timestep"][i], labels)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), clip if clip else math.inf))
        optimizer.step()
        losses.append(loss.detach())
        if i == 2:
            changes = {name: p.detach() - start[name] for name, p in net.named_parameters()}
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(start[name])
    return data, torch.stack(losses), torch.stack(norms), changes


def sample(net, scheduler, generator, steps, guidance=None, **step_options):
    """A whole run through the network. `noise` [steps,N,C,H,W] is what the scheduler adds, `x` the state after each step."""
    n, c = 2, net.config.in_channels
    x = normal(generator, n, c, 8, 8)
    noise = normal(generator, steps, n, c, 8, 8)
    labels = torch.tensor([3, 7]) if net.config.num_class_embeds else None
    scheduler.set_timesteps(steps)
    out = {"x_T": x.clone(), "noise": noise, "timesteps": scheduler.timesteps.clone()}
    if labels is not None:
        out["class_labels"] = labels
    if guidance is not None:
        out["guidance"] = torch.tensor([guidance])
    states = []
    with torch.no_grad():
        for i, t in enumerate(scheduler.timesteps):
            eps = epsilon(net, x, t, labels)
            if guidance is not None:
                none = epsilon(net, x, t, torch.full_like(labels, NULL_CLASS))
                eps = none + guidance * (eps - none)
            x = step(scheduler, eps, t, x, noise[i], **step_options)
            states.append(x)
    return out | {"x": torch.stack(states)}


def step(scheduler, output, t, x, noise, **options):
    """One step of diffusers' scheduler with this noise."""
    if isinstance(scheduler, DDIMScheduler):
        return scheduler.step(output, t, x, variance_noise=noise, **options).prev_sample
    drawn = scheduling_ddpm.randn_tensor
    scheduling_ddpm.randn_tensor = lambda shape, **_: noise
    try:
        return scheduler.step(output, t, x, **options).prev_sample
    finally:
        scheduling_ddpm.randn_tensor = drawn


def make_net(name, seed):
    generator = torch.Generator().manual_seed(seed)
    net = UNet2DModel(**NETS[name])
    randomise(net, generator)
    net.save_pretrained(HERE / name)
    scheduler = DDPMScheduler(**SCHEDULER)
    scheduler.save_config(HERE / name)
    if name == "grey":
        path = HERE / name / "config.json"
        config = json.loads(path.read_text())
        config |= {"_null_class": NULL_CLASS, "_class_names": [str(i) for i in range(10)]}
        path.write_text(json.dumps(config, indent=2) + "\n")
    # What was saved is what is measured.
    net = UNet2DModel.from_pretrained(HERE / name).train()

    batch = inputs(net, generator, 3, 8, 12)
    with torch.no_grad():
        eps = epsilon(net, batch["sample"], batch["timestep"], batch.get("class_labels"))
    save(HERE / name / "predict.safetensors", batch | {"eps": eps})

    batch = inputs(net, generator, 3, 8, 12)
    batch["noise"] = normal(generator, *batch["sample"].shape)
    loss = loss_of(net, scheduler, batch["sample"], batch["noise"], batch["timestep"], batch.get("class_labels"))
    net.zero_grad()
    loss.backward()
    gradients = {f"grad.{key}": p.grad for key, p in net.named_parameters()}
    save(HERE / name / "gradients.safetensors", batch | {"loss": loss.reshape(1)} | gradients)

    state = generator.get_state()
    data, losses, norms, changes = training(net, scheduler, generator, None)
    generator.set_state(state)
    _, clipped_losses, clipped_norms, clipped = training(net, scheduler, generator, 1.0)
    assert clipped_norms[:3].max() > 1, "the clip must bite within the three steps that are compared"
    out = data | {"losses": losses, "norms": norms, "clipped_losses": clipped_losses, "clipped_norms": clipped_norms}
    out |= {f"change.{key}": value for key, value in changes.items()}
    if name == "grey":
        out |= {f"clipped_change.{key}": value for key, value in clipped.items()}
    save(HERE / name / "adam.safetensors", out)

    ddim = DDIMScheduler.from_config(scheduler.config)
    runs = {
        "ddpm": sample(net, scheduler, generator, 12),
        "ddim": sample(net, ddim, generator, 12, eta=0.0),
    }
    if name == "grey":
        runs["guided"] = sample(net, ddim, generator, 9, guidance=2.5, eta=0.5)
    for key, tensors in runs.items():
        save(HERE / name / f"sample_{key}.safetensors", tensors)
    count = sum(p.numel() for p in net.parameters())
    print(f"{name}: {count} parameters, eps rms {eps.square().mean().sqrt():.3f}, loss {loss:.4f}")
    print(f"  losses {[round(float(v), 4) for v in losses]}\n  norms {[round(float(v), 2) for v in norms]}, clipped {[round(float(v), 2) for v in clipped_norms]}")


def make_student(seed):
    """A distilled model's folder as Noisette writes it, and diffusers' runs of the numbers of steps that it names."""
    generator = torch.Generator().manual_seed(seed)
    net = UNet2DModel(**NETS["grey"] | {"num_class_embeds": NULL_CLASS})
    randomise(net, generator)
    folder = HERE / "fast"
    net.save_pretrained(folder)
    DDIMScheduler(**STUDENT).save_config(folder)
    path = folder / "scheduler_config.json"
    config = json.loads(path.read_text())
    config |= {"_sampler": "ddim", "_num_inference_steps": 4, "_valid_steps": [2, 4], "_as": "paper", "_eta": 0.0, "_guidance": 1.5}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    net = UNet2DModel.from_pretrained(folder)
    for steps in config["_valid_steps"]:
        # diffusers passes over our keys; the list of timesteps follows from its own.
        scheduler = DDIMScheduler.from_pretrained(folder)
        save(folder / f"sample_{steps}.safetensors", sample(net, scheduler, generator, steps, eta=0.0))


# --- schedules and timesteps ----------------------------------------------------------------------------------------

def make_schedules():
    tensors = {}
    for schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        for steps in (1000, 50):
            options = dict(
                num_train_timesteps=steps, beta_schedule=schedule, beta_start=0.1 / steps, beta_end=20.0 / steps,
            )
            ddpm, ddim = DDPMScheduler(**options), DDIMScheduler(**options)
            assert torch.equal(ddpm.alphas_cumprod, ddim.alphas_cumprod)
            tensors[f"{schedule}.{steps}.betas"] = ddpm.betas
            tensors[f"{schedule}.{steps}.alphas_cumprod"] = ddpm.alphas_cumprod
    for spacing in ("leading", "trailing", "linspace"):
        for steps in (1, 7, 50, 1000):
            lists = []
            for kind in (DDPMScheduler, DDIMScheduler):
                scheduler = kind(timestep_spacing=spacing)
                scheduler.set_timesteps(steps)
                lists.append(scheduler.timesteps)
            assert torch.equal(*lists)
            if steps < 1000:
                tensors[f"timesteps.{spacing}.{steps}"] = lists[0]
    save(HERE / "schedules.safetensors", tensors)


# --- scheduler trajectories -----------------------------------------------------------------------------------------

class Lcg:
    """Noise both sides compute: a 64-bit linear congruential generator, uniform with unit variance, exact in f32."""

    def __init__(self, seed):
        self.state = seed

    def tensor(self, *shape):
        values = []
        for _ in range(math.prod(shape)):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            values.append((self.state >> 40) / 2**24 - 0.5)
        return torch.tensor(values).mul(torch.tensor(12.0).sqrt()).reshape(shape)


def gaussian_model(x, ac, prediction):
    """The exact denoiser of data ~ N(mean, 0.64), mean = 0.3 in the first channel, 0.2 less in each further one."""
    mean = (0.3 - 0.2 * torch.arange(x.shape[1])).reshape(1, -1, 1, 1)
    eps = (1 - ac).sqrt() * (x - ac.sqrt() * mean) / (ac * 0.64 + 1 - ac)
    x0 = (ac.sqrt() * 0.64 * x + (1 - ac) * mean) / (ac * 0.64 + 1 - ac)
    return {"epsilon": eps, "sample": x0, "v_prediction": ac.sqrt() * eps - (1 - ac).sqrt() * x0}[prediction]


CASES = {
    "ddim_leading": ("ddim", 50, 0.0, {}),
    "ddim_leading_7": ("ddim", 7, 0.0, {}),
    "ddim_trailing_noise": ("ddim", 50, 0.5, dict(timestep_spacing="trailing", clip_sample=False)),
    "ddim_linspace": ("ddim", 20, 0.0, dict(timestep_spacing="linspace")),
    "ddim_eta_1": ("ddim", 25, 1.0, {}),
    "ddim_offset": ("ddim", 20, 0.2, dict(steps_offset=1, set_alpha_to_one=False, clip_sample_range=0.7)),
    "ddim_v": ("ddim", 20, 0.3, dict(prediction_type="v_prediction", beta_schedule="scaled_linear")),
    "ddim_sample": ("ddim", 20, 0.0, dict(prediction_type="sample")),
    "ddpm_1000": ("ddpm", 1000, 0.0, {}),
    "ddpm_1000_large": ("ddpm", 1000, 0.0, dict(variance_type="fixed_large")),
    "ddpm_small": ("ddpm", 50, 0.0, dict(clip_sample=False)),
    "ddpm_large": ("ddpm", 50, 0.0, dict(variance_type="fixed_large")),
    "ddpm_cosine": ("ddpm", 50, 0.0, dict(beta_schedule="squaredcos_cap_v2")),
    "ddpm_cosine_1000": ("ddpm", 1000, 0.0, dict(beta_schedule="squaredcos_cap_v2")),
    "ddpm_trailing": ("ddpm", 7, 0.0, dict(timestep_spacing="trailing", variance_type="fixed_large")),
    "ddpm_v": ("ddpm", 20, 0.0, dict(prediction_type="v_prediction", timestep_spacing="linspace")),
}


def make_trajectories():
    tensors, cases = {}, []
    for seed, (name, (kind, steps, eta, options)) in enumerate(CASES.items(), start=1):
        scheduler = (DDIMScheduler if kind == "ddim" else DDPMScheduler)(**options)
        scheduler.set_timesteps(steps)
        lcg = Lcg(seed)
        x = lcg.tensor(2, 3, 2, 3)
        kept = [i for i in range(steps) if steps <= 50 or i % 50 == 49]
        states = []
        tensors[f"{name}.x_T"] = x.clone()
        for i, t in enumerate(scheduler.timesteps):
            output = gaussian_model(x, scheduler.alphas_cumprod[t], scheduler.config.prediction_type)
            x = step(scheduler, output, t, x, lcg.tensor(*x.shape), **({"eta": eta} if kind == "ddim" else {}))
            if i in kept:
                states.append(x)
        tensors[f"{name}.timesteps"] = scheduler.timesteps.clone()
        tensors[f"{name}.x"] = torch.stack(states)
        config = json.loads(scheduler.to_json_string())
        cases.append(dict(name=name, steps=steps, eta=eta, lcg_seed=seed, kept=kept, scheduler=config))
    save(HERE / "trajectories.safetensors", tensors)
    (HERE / "trajectories.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}")
    make_net("rgb", 1)
    make_net("grey", 2)
    make_student(3)
    make_schedules()
    make_trajectories()
    files = [f for f in HERE.rglob("*") if f.is_file()]
    print(f"{sum(f.stat().st_size for f in files)} bytes in {len(files)} files")
