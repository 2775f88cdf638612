"""Trains the digits classifier and writes the fixtures that stand beside this file (see README.md)."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent
HELD_OUT = 360
EPOCHS = 30
BATCH = 64


class Digits(nn.Module):
    """8x8 grey images to ten class scores. README.md lists the shapes."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(64)
        self.hidden = nn.Linear(64 * 4 * 4, 144)
        self.fc = nn.Linear(144, 10)
        # The same layer under a second name: the checkpoint has two keys for each of its storages.
        self.head = self.fc

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.max_pool2d(x, 2).flatten(1)
        return self.fc(F.relu(self.hidden(x)))


def make_repeatable():
    torch.manual_seed(0)
    # The order in which threads add up floats differs from run to run, so there is one thread only.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def split_dataset():
    """(training images, training labels), (held-out images, held-out labels); pixels are 0..16."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = digits.images[order].astype(np.uint8)
    labels = digits.target[order].astype(np.uint8)
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def network_input(images):
    """Pixels scaled to 0..1. Sixteen is a power of two, so the division is exact."""
    return torch.from_numpy(images).float().div(16.0).unsqueeze(1)


def train_step(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    F.cross_entropy(model(inputs), targets).backward()
    optimizer.step()


def train(images, labels):
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    inputs, targets = network_input(images), torch.from_numpy(labels).long()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            train_step(model, optimizer, inputs[rows], targets[rows])
    return model


def reload(path):
    model = Digits()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


@torch.no_grad()
def evaluate(model, images):
    # One image at a time, as a program that classifies a single digit does.
    return torch.cat([model(one) for one in network_input(images).split(1)]).numpy()


def main():
    make_repeatable()
    training, (images, labels) = split_dataset()
    torch.save(train(*training).state_dict(), HERE / "digits.pt")

    logits = evaluate(reload(HERE / "digits.pt"), images)
    images.tofile(HERE / "images.bin")
    labels.tofile(HERE / "labels.bin")
    logits.astype("<f4").tofile(HERE / "logits.bin")
    right = int((logits.argmax(1) == labels).sum())
    print(f"held-out accuracy: {right} of {len(labels)} ({right / len(labels):.2%})")


if __name__ == "__main__":
    main()
