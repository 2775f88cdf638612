# SPDX-License-Identifier: Apache-2.0
"""State dicts as torch.save takes them: what is saved of them is byte for byte what is converted."""

import collections

import torch
from torch import nn

import composites
import make

CASES = {}


def case(build):
    CASES[build.__name__] = build
    return build


def numbers(*shape, dtype=torch.float32):
    return torch.arange(1, 1 + torch.Size(shape).numel()).to(dtype).reshape(shape)


def ordered(build):
    return lambda: collections.OrderedDict(build())


for name in ["state_dict", "ties", "views", "retyped", "dtypes", "shapes", "conj_neg", "meta", "many"]:
    CASES[name] = ordered(make.CASES[name]) if name not in ("state_dict", "ties") else make.CASES[name]
CASES["tensors_of_several"] = lambda: collections.OrderedDict((n, b()) for n, b in composites.CASES.items())


@case
def nothing():
    return collections.OrderedDict()


@case
def modules_without_tensors():
    return nn.Sequential(nn.ReLU(), nn.Sequential(nn.Flatten())).state_dict()


@case
def parameters():
    return make.Tied().state_dict(keep_vars=True)


@case
def batch_norm():
    return nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, affine=False)).state_dict(keep_vars=True)


@case
def lazy():
    return nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()).state_dict()


@case
def recurrent():
    return nn.LSTM(3, 2, num_layers=2, bidirectional=True).state_dict()


@case
def metadata_of_a_hook():
    """spectral_norm notes a dictionary beside the version."""
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 3))).state_dict()


@case
def parametrized():
    return nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)).state_dict()


class Noted(nn.Module):
    def __init__(self, state):
        super().__init__()
        self.weight = nn.Parameter(numbers(2))
        self.state = state

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


@case
def extra_states():
    states = [
        numbers(3, dtype=torch.uint8),
        7,
        2.5,
        True,
        None,
        "text",
        b"bytes",
        {"step": 3, "version": 2, "scale": numbers(2), "nested": {"list": [1, (2, 3)]}},
        [numbers(2), numbers(2)],
        {},
        [],
        (1, 2),
        torch.float16,
        1 << 80,
        {1: "one", 2.5: None},
        torch.Size([1, 2]),
    ]
    return nn.Sequential(*map(Noted, states)).state_dict()


@case
def values_beside_tensors():
    return collections.OrderedDict(weight=numbers(2), epoch=3, name="net", none=None, empty={}, notes={"a": [1, 2]})
