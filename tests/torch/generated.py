# SPDX-License-Identifier: Apache-2.0
"""Objects beyond those of tests/data/checkpoints/make.py, made anew in each run, and pairs that
differ in one thing each, which the comparison must see."""

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import types
import uuid

import numpy as np
import torch
from torch import nn

CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def numbers(count, dtype=torch.float32):
    return torch.arange(count).to(dtype)


@case
def nan_payloads():
    payloads = torch.tensor([0x7FC00001, 0x7F800001, 0xFFC12345 - (1 << 32), 0x80000000 - (1 << 32)])
    return {"float32": payloads.to(torch.int32).view(torch.float32), "float": float("nan")}


@case
def lazy():
    return nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()).state_dict()


@case
def parameters_of_all_kinds():
    kept = nn.Parameter(numbers(6).view(2, 3).t(), requires_grad=False)
    kept.note = {"group": [1, 2]}
    leaf = numbers(3).requires_grad_()
    leaf.owner = "me"
    complex_parameter = nn.Parameter(torch.complex(numbers(2), numbers(2) + 1))
    meta = nn.Parameter(torch.empty(2, 2, device="meta"))
    return [kept, leaf, kept, complex_parameter, meta, nn.Parameter(numbers(4, torch.float16))]


@case
def attributes_with_tensors():
    first, second = numbers(3), numbers(2)
    first.other = second
    second.numbers = (1, 2.5)
    return {"first": first, "second": second}


@case
def batches():
    """Around the number of items that an opcode takes, and past a byte of memo places."""
    shared = [list(range(i)) for i in (0, 1, 2, 999, 1000, 1001, 2000, 2001)]
    ordered = collections.OrderedDict((str(i), [i]) for i in range(1001))
    return {"lists": shared, "again": shared[::-1], "ordered": ordered, "values": [*ordered.values()]}


@case
def maps():
    nested = collections.defaultdict(dict, {"a": collections.defaultdict(None, {1: 2})})
    ordered = collections.OrderedDict(a=1)
    ordered.note = [ordered["a"], "attribute"]
    return [nested, collections.Counter("abracadabra"), ordered, {}, collections.OrderedDict()]


@case
def keys():
    return {True: 1, (1, ("a", b"b")): 2, frozenset({1}): 3, 1.5: 4, torch.float32: 5, 1 << 70: 6}


@case
def integers():
    around = [0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, 1 << 63, 1 << 64, 1 << 2031, 1 << 2100]
    return [sign * (value + step) for value in around for step in (-1, 0, 1) for sign in (1, -1)]


@case
def texts():
    return ["", "a\0b", "é", "🙂" * 100, b"", b"\x80\xff", bytearray(), bytearray(b"\xc3\xa9")]


@case
def named_things():
    return {"class": nn.Linear, "function": torch.relu, "type": dict, "size": torch.Size([1, 2])}


@case
def shared_tuples():
    pair = (numbers(2), [1])
    return [pair, (pair, pair), {"key": pair}]


@case
def one_storage_under_several_types():
    raw = torch.arange(32, dtype=torch.uint8)
    return [raw, raw[8:].view(torch.uint32), raw[2:20].view(torch.bits16), raw.view(4, 8).t()]


@case
def views_at_the_ends():
    base = numbers(100, torch.int16)
    return {"last": base[99:], "none": base[100:], "reversed": [base[i : i + 1] for i in (50, 0, 99)]}


@case
def plain_objects():
    shared = argparse.Namespace(lr=0.1, layers=[1, 2])
    objects = [
        types.SimpleNamespace(x=1),
        datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
        datetime.timedelta(3, 4),
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
        pathlib.PurePosixPath("runs/first"),
        uuid.uuid5(uuid.NAMESPACE_DNS, "example"),
    ]
    return {"shared": shared, "again": shared, "objects": objects}


@case
def numpy_objects():
    arrays = [np.arange(6.0).reshape(2, 3).T, np.arange(3, dtype=">i2"), np.array([1, "a"], dtype=object)]
    structured = np.zeros(2, dtype=[("a", "i4"), ("b", "f8")])
    return {"arrays": [*arrays, structured], "scalars": [np.float32(1.5), np.bool_(True), np.dtype("<i4")]}


@case
def deep():
    value = [numbers(1)]
    for i in range(400):
        value = [value] if i % 2 else {"in": value}
    return value


@case
def nothing():
    return None


@case
def only_a_parameter():
    return nn.Parameter(numbers(3))


def tensor_with(**attributes):
    tensor = numbers(3)
    vars(tensor).update(attributes)
    return tensor


def twice(value):
    return [value, value]


def ordered_with(**attributes):
    ordered = collections.OrderedDict(a=1)
    vars(ordered).update(attributes)
    return ordered


def overlapping(distance):
    base = numbers(10)
    return [base[:4], base[distance : distance + 4]]


def copied(value):
    return [value, value + 0]


def hooked():
    """A module whose children refer to it: by a hook, and by an attribute."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    net[0].register_forward_hook(net.named_parameters)
    net[1].__dict__["parent"] = net
    return net


def with_passing_buffer():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    net.register_buffer("kept", torch.ones(2))
    net.register_buffer("passing", torch.zeros(2), persistent=False)
    return net


class Own(torch.nn.Module):
    """Scripted, it is `__torch__.generated.Own`."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x * self.weight


MODULES = {
    "norm": lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)),
    "lstm": lambda: torch.nn.LSTM(2, 3, num_layers=2),
    "own": Own,
    "hooked": hooked,
    "passing buffer": with_passing_buffer,
}


def ragged_sizes(several):
    offsets = several(torch.tensor([0, 2, 5]))
    return [torch.nested.nested_tensor_from_jagged(numbers(5), it).shape[1] for it in offsets]


DIFFERENCES = [
    ("type", lambda: [1], lambda: (1,)),
    ("type of a mapping", lambda: {}, collections.OrderedDict),
    ("bool for int", lambda: [1], lambda: [True]),
    ("order of keys", lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    ("sign of zero", lambda: 0.0, lambda: -0.0),
    ("length", lambda: [1, 2], lambda: [1]),
    ("one object or two", lambda: twice([]), lambda: [[], []]),
    ("two objects or one", lambda: [[], []], lambda: twice([])),
    ("one tensor or two", lambda: twice(numbers(2)), lambda: [numbers(2), numbers(2)]),
    ("attributes", lambda: ordered_with(x=1), lambda: ordered_with(x=2)),
    ("no attributes", ordered_with, lambda: ordered_with(x=2)),
    ("attributes of a tensor", lambda: tensor_with(x=1), tensor_with),
    ("dtype", lambda: numbers(2), lambda: numbers(2, torch.float64)),
    ("shape", lambda: numbers(4), lambda: numbers(4).view(2, 2)),
    ("strides", lambda: numbers(4).view(2, 2), lambda: numbers(4).view(2, 2).t()),
    ("value", lambda: numbers(2), lambda: numbers(2) + 1),
    ("parameter", lambda: numbers(2), lambda: nn.Parameter(numbers(2), requires_grad=False)),
    ("requires_grad", lambda: numbers(2), lambda: numbers(2).requires_grad_()),
    ("conj", lambda: numbers(2, torch.complex64), lambda: numbers(2, torch.complex64).conj()),
    ("storage", lambda: [numbers(4)[:2]] * 1 + [numbers(4)[2:]], lambda: list(numbers(4).split(2))),
    ("distance", lambda: overlapping(2), lambda: [x + 0 for x in overlapping(2)]),
    ("one ragged size or two", lambda: ragged_sizes(twice), lambda: ragged_sizes(copied)),
    ("default", lambda: collections.defaultdict(int), lambda: collections.defaultdict(list)),
]
