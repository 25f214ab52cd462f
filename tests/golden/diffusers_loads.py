#!/usr/bin/env python3
"""Loads a weights folder with diffusers and compares its epsilon with the one Noisette wrote.

    noisette predict --weights weights/digits --input in.safetensors --out out.safetensors
    python tests/golden/diffusers_loads.py weights/digits in.safetensors out.safetensors [--tolerance 1e-4]

With `--make-input in.safetensors` as the only argument beside the folder, it writes an input for the first command.
Exits with 1 when a parameter is missing or unexpected, or when the two differ by more than the tolerance.
"""

import argparse
import sys

import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file


def size_of(config):
    size = config.sample_size or 32
    return (size, size) if isinstance(size, int) else tuple(size)


def make_input(net, path):
    generator = torch.Generator().manual_seed(0)
    n, labels = 4, net.config.num_class_embeds
    batch = {
        "sample": torch.randn(n, net.config.in_channels, *size_of(net.config), generator=generator),
        "timestep": torch.tensor([0, 999, 500, 20]),
    }
    if labels:
        batch["class_labels"] = torch.tensor([0, labels - 1, labels // 2, 1 % labels])
    save_file(batch, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("input", nargs="?")
    parser.add_argument("output", nargs="?")
    parser.add_argument("--make-input")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()

    # A folder of f16 is widened, as Noisette does: parity is about the arithmetic, not about rounding.
    net, info = UNet2DModel.from_pretrained(args.weights, torch_dtype=torch.float32, output_loading_info=True)
    problems = {key: value for key, value in info.items() if value}
    if problems:
        sys.exit(f"diffusers found differences: {problems}")
    print(f"{args.weights}: {sum(p.numel() for p in net.parameters())} parameters, nothing missing or unexpected")
    if args.make_input:
        return make_input(net, args.make_input)
    if not (args.input and args.output):
        return

    batch, ours = load_file(args.input), load_file(args.output)["eps"]
    with torch.no_grad():
        theirs = net(batch["sample"], batch["timestep"], class_labels=batch.get("class_labels")).sample
    if ours.shape != theirs.shape:
        sys.exit(f"eps has the shape {list(ours.shape)}, diffusers makes {list(theirs.shape)}")
    error = (ours - theirs).abs().max().item()
    print(f"largest difference in epsilon: {error:.2e}")
    # Written so that NaN fails too.
    if not error <= args.tolerance:
        sys.exit(f"that is more than {args.tolerance:.0e}")


if __name__ == "__main__":
    main()
