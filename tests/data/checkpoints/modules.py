"""Writes modules that were saved whole, and the names and bytes of their state_dict(). Called by make.py."""

import json

import torch
from torch import nn


def numbers(*shape):
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape)


def network():
    """Of PyTorch's own classes: torch.load has to find them."""
    body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    model = nn.Sequential(body, nn.Embedding(5, 3), nn.Linear(3, 5, bias=False), nn.ModuleList())
    model[2].weight = model[1].weight
    model.add_module("again", body)
    model.add_module("absent", None)
    model.register_buffer("mean", numbers(3))
    model.register_buffer("cache", numbers(2, 2), persistent=False)
    model.register_buffer("nothing", None)
    model.register_parameter("scale", nn.Parameter(numbers(2), requires_grad=False))
    model.note = numbers(4)
    model.notes = {"later": [numbers(1)]}
    return model


def rebuilt(tensor):
    return bytes(tensor.detach().contiguous().view(-1).numpy().tobytes()).hex()


def describe(model):
    kinds = {name: "parameter" for name, _ in model.named_parameters(remove_duplicate=False)}
    return [
        {"name": name, "kind": kinds.get(name, "buffer"), "bytes": rebuilt(tensor)}
        for name, tensor in model.state_dict().items()
    ]


def describe_old(model):
    """named_parameters takes no remove_duplicate before 2.0."""
    parameters = {id(parameter) for parameter in model.parameters()}
    return [
        {
            "name": name,
            "kind": "parameter" if id(tensor) in parameters else "buffer",
            "bytes": rebuilt(tensor),
        }
        for name, tensor in model.state_dict(keep_vars=True).items()
    ]


def write(folder, version):
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    path = folder / "torch-{}.{}.pt".format(*version)
    torch.save({"model": network(), "epoch": 3}, path)
    loaded = torch.load(path, **({"weights_only": False} if version >= (2, 0) else {}))
    entries = describe(loaded["model"]) if version >= (2, 0) else describe_old(loaded["model"])
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    (folder / (path.stem + ".names.json")).write_text("[\n" + lines + "\n]\n")
