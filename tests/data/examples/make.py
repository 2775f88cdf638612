#!/usr/bin/env python3
"""Writes the checkpoints of tests/examples and what PyTorch makes of them.

Needs torch 2.13.0. Run here: python make.py
"""

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Net(nn.Module):
    """One of each: a convolution, a norm with buffers, a plain tensor, a layer with two names."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2)
        self.bn = nn.BatchNorm2d(2)
        self.scale = torch.tensor([1.0, 2.0])
        self.fc = nn.Linear(2, 3)
        self.f3 = self.fc


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, features):
        return self.head(torch.relu(self.body(features)))


def write_net():
    net = Net()
    state_dict = net.state_dict()
    torch.save(state_dict, HERE / "net.pt")
    with open(HERE / "net.txt", "w", encoding="utf-8") as out:
        print("parameters", *(name for name, _ in net.named_parameters()), file=out)
        print("buffers", *(name for name, _ in net.named_buffers()), file=out)
        for key, tensor in state_dict.items():
            print(f"{key} {list(tensor.shape)} {tensor.flatten()[0]:.4f}", file=out)
        for path, entry in state_dict._metadata.items():
            print(f"version {path!r} {entry['version']}", file=out)
        first = {}
        for key, tensor in state_dict.items():
            other = first.setdefault(tensor.data_ptr(), key)
            if other != key:
                print(f"{key} is {other}", file=out)


def write_classifier():
    """A base, and its head after some steps of training with the body frozen."""
    model = Classifier()
    torch.save(model.state_dict(), HERE / "base.pt")
    features = torch.arange(8, dtype=torch.float32).reshape(2, 4) / 8
    before = model(features)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features), torch.tensor([0, 2])).backward()
        optimizer.step()
    tuned = {key: value for key, value in model.state_dict().items() if key.startswith("head.")}
    torch.save(tuned, HERE / "head.pt")
    with open(HERE / "classifier.txt", "w", encoding="utf-8") as out:
        for title, logits in (("base", before), ("tuned", model(features))):
            for row in logits.tolist():
                print(title, *(f"{value:.4f}" for value in row), file=out)


if __name__ == "__main__":
    torch.manual_seed(1)
    write_net()
    write_classifier()
