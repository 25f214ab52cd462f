"""Writes a UNet2DModel with random weights as ONNX, for the peers that run in a browser.

    python export.py config.json out.onnx [--batch N] [--plain]

Without --batch the batch is free. --plain spells group norm out in means and products, for runtimes without the op.
"""
import argparse, json, warnings

import torch
from diffusers import UNet2DModel

warnings.filterwarnings("ignore")


class PlainGroupNorm(torch.nn.Module):
    """The formula of group norm, with the parameters of another."""

    def __init__(self, norm):
        super().__init__()
        self.groups, self.eps, self.weight, self.bias = norm.num_groups, norm.eps, norm.weight, norm.bias

    def forward(self, x):
        shape = x.shape
        parts = x.reshape(shape[0], self.groups, -1)
        centred = parts - parts.mean(2, keepdim=True)
        normed = centred / torch.sqrt((centred * centred).mean(2, keepdim=True) + self.eps)
        wide = (1, -1) + (1,) * (len(shape) - 2)
        return normed.reshape(shape) * self.weight.reshape(wide) + self.bias.reshape(wide)


def spell_out(module):
    for name, child in module.named_children():
        if isinstance(child, torch.nn.GroupNorm):
            setattr(module, name, PlainGroupNorm(child))
        else:
            spell_out(child)


class Net(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.net = UNet2DModel.from_config(config)

    def forward(self, sample, timestep, class_labels):
        return self.net(sample, timestep, class_labels=class_labels).sample


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("out")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    config = json.load(open(args.config))
    net = Net(config).eval()
    if args.plain:
        spell_out(net)
    size, batch = config["sample_size"], args.batch or 2
    sample = torch.randn(batch, config["in_channels"], size, size)
    example = (sample, torch.full((batch,), 500), torch.zeros(batch, dtype=torch.long))
    names = ["sample", "timestep", "class_labels"]
    axes = {} if args.batch else {name: {0: "n"} for name in names + ["eps"]}
    torch.onnx.export(net, example, args.out, input_names=names, output_names=["eps"], dynamic_axes=axes, dynamo=False)


main()
