"""Writes the checkpoints beside this file and, for each, what PyTorch sees in it.

    python make.py      (with each version of PyTorch; ../README.md names them)
"""

import argparse
import collections
import datetime
import io
import json
import pathlib
import warnings

import torch
from torch import nn

import composites
import modules
import objects
from describe import describe, dtype_name

HERE = pathlib.Path(__file__).parent
VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
FOLDER = HERE / "torch-{}.{}".format(*VERSION)
UNSUPPORTED = HERE / "unsupported"

CASES = {}
SAVE_OPTIONS = {
    "protocol3": {"pickle_protocol": 3},
    "protocol4": {"pickle_protocol": 4},
    "protocol5": {"pickle_protocol": 5},
}


def case(make):
    """Registers a function that returns the object to save; its name is the file's."""
    CASES[make.__name__] = make
    return make


def since(major, minor, what):
    if VERSION < (major, minor):
        raise NotImplementedError(f"{what} since {major}.{minor}")


def numbers(*shape, dtype=torch.float32):
    return torch.arange(1, 1 + torch.Size(shape).numel()).to(dtype).reshape(shape)


# ---- state dicts


def small_model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


class Tied(nn.Module):
    """One layer under two names, and one weight in two layers."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.fc = nn.Linear(4, 4)
        self.head = self.fc
        self.decoder = nn.Linear(4, 7, bias=False)
        self.decoder.weight = self.embedding.weight


@case
def state_dict():
    return small_model().state_dict()


@case
def ties():
    return Tied().state_dict()


@case
def parameters():
    return {
        "trained": nn.Parameter(numbers(2, 3)),
        "frozen": nn.Parameter(numbers(3), requires_grad=False),
        "leaf": numbers(2).requires_grad_(),
        "plain": numbers(2),
        # Here the two names of a tied weight lead to one object, not to two that share a storage.
        "kept": Tied().state_dict(keep_vars=True),
        "kept_buffers": nn.BatchNorm1d(2).state_dict(keep_vars=True),
    }


@case
def attributes():
    """Attributes on tensors change the way they are pickled, not what they hold."""
    parameter, tensor = nn.Parameter(numbers(2, 2)), numbers(3)
    parameter.tag = "decay"
    tensor.persistent = True
    return {"parameter": parameter, "tensor": tensor}


# ---- tensors and storages


@case
def views():
    base, twice, large = numbers(24), numbers(3), numbers(2048)
    return {
        "base": base,
        "transposed": base.view(4, 6).t(),
        "sliced": base[5:15],
        "strided": base[1::2],
        "permuted": base.view(2, 3, 4).permute(2, 0, 1),
        "overlapping": base.as_strided((5, 4), (2, 1), 3),
        "expanded": base[2:5].unsqueeze(1).expand(3, 4),
        "element": base[7],
        "twice": twice,
        "again": twice,
        "small_view_of_large": large[1000:1010],
    }


@case
def retyped():
    """One storage under several dtypes: only dtypes without a storage class of their own can do so."""
    since(2, 3, "dtypes on untyped storages")
    raw = numbers(16, dtype=torch.uint8)
    return {
        "uint8": raw,
        "uint16": raw.view(torch.uint16),
        "uint32": raw[4:12].view(torch.uint32),
        "float8": raw[3:6].view(torch.float8_e4m3fn),
    }


@case
def dtypes():
    known = {dtype_name(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    # Bytes viewed as a quantized dtype have no scale: see save_quantized.
    made = {name: tensor_of(known[name]) for name in sorted(known) if not name.startswith("q")}
    return {name: tensor for name, tensor in made.items() if can_be_saved(tensor)}


def tensor_of(dtype):
    """Two rows of three elements whose bytes are all different, but for bool, which has only two."""
    size = torch.empty(0, dtype=dtype).element_size()
    raw = (torch.arange(6 * size) * 37 + 11).to(torch.uint8).view(2, 3 * size)
    return (raw % 2 if dtype == torch.bool else raw).view(dtype)


def can_be_saved(tensor):
    try:
        torch.save(tensor, io.BytesIO())
        return True
    except Exception as error:
        print(f"not saved by {torch.__version__}: {tensor.dtype}: {error}")
        return False


@case
def shapes():
    base = numbers(6)
    cases = {f"rank{rank}": numbers(*[2] * rank) for rank in range(1, 9)}
    cases["scalar"] = torch.tensor(1.5)
    cases["empty"] = torch.empty(0)
    cases["empty_inside"] = torch.empty(3, 0, 2)
    cases["ones"] = numbers(1, 3, 1, 1)
    cases["ones_with_odd_strides"] = base.as_strided((1, 3, 1), (77, 2, 5))
    cases["base"] = base
    cases["empty_view"] = base[3:3]
    cases["only_empty_view"] = numbers(4)[4:]
    return cases


@case
def conj_neg():
    since(2, 0, "lazy bits in files")
    plain, real = torch.complex(numbers(2, 3), numbers(2, 3) + 10), numbers(4)
    return {
        "plain": plain,
        "conj": plain.conj(),
        "adjoint": plain.mH,
        "conj_and_neg": torch._neg_view(plain.conj()),
        "conj_slice": plain.conj()[:, 1],
        "real": real,
        "neg": torch._neg_view(real),
        # The imaginary part of a conjugate is a view whose sign is the opposite of what is stored.
        "imag": torch.complex(numbers(2), numbers(2) + 5).conj().imag,
    }


@case
def meta():
    return {
        "absent": torch.empty(3, 4, dtype=torch.float16, device="meta"),
        "absent_transposed": torch.empty(3, 4, device="meta").t(),
        "present": numbers(2, 2),
    }


@case
def bare_tensor():
    return numbers(2, 3)


@case
def list_of_tensors():
    return [numbers(2), (numbers(3), [numbers(1), "text"]), {"named": numbers(2, 2)}, None]


@case
def many():
    """More entries than one batch of the pickle (1,000) and more memo entries than one byte counts."""
    storages = [numbers(100, dtype=torch.int16) + 100 * i for i in range(25)]
    return {f"layer.{i}": storages[i // 100][i % 100] for i in range(2500)}


# ---- values


@case
def training():
    model = small_model()
    shared_list, shared_tensors = [1, 2], {"weight": numbers(2)}
    return {
        "epoch": 5,
        "model": model.state_dict(),
        **training_state(model),
        **scalars(),
        **containers(),
        "shared_list": shared_list,
        "shared_list_again": shared_list,
        "shared_tensors": shared_tensors,
        "shared_tensors_again": shared_tensors,
    }


def training_state(model):
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for _ in range(2):
        optimizer.zero_grad()
        model(numbers(2, 1, 4, 4)).sum().backward()
        optimizer.step()
        scheduler.step()
    return {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}


def scalars():
    return {
        "best": None,
        "flag": True,
        "other_flag": False,
        "lr": 0.1,
        "tiny": 5e-324,
        "minus_zero": -0.0,
        "nan": float("nan"),
        "infinite": [float("inf"), float("-inf")],
        "complex": complex(1.5, -2.0),
        "name": "réseau – 网络 🙂",
        "integers": [0, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63, -(2**63)],
        "big": 2**80,
        "negative_big": -(2**70),
        "bytes": bytes(range(256)),
        "bytearray": bytearray(b"\x00\xff"),
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "devices": [torch.device("cpu"), torch.device("cuda", 0)],
    }


def containers():
    return {
        "nested": [1, (2, 3.5), {"x": {4: "y"}}],
        # Of integers, since the order of text in a set differs from run to run.
        "set": {1, 2, 3},
        "frozenset": frozenset({4, 5}),
        "empty": [[], (), {}, set(), frozenset(), "", b"", bytearray(), torch.Size([])],
        "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
        "tuples": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "keys": {1: "int", -2: "negative", (3, 4): "tuple", None: "none", 1.5: "float"},
    }


@case
def opaque():
    groups = collections.defaultdict(list)
    groups["decay"].append("fc.weight")
    return {
        "model": nn.Linear(2, 2).state_dict(),
        "args": argparse.Namespace(lr=0.1, layers=[1, 2]),
        "path": pathlib.PurePosixPath("runs/first"),
        "started": datetime.datetime(2024, 2, 29, 12, 30, 15),
        "classes": collections.Counter({"cat": 3, "dog": 1}),
        "groups": groups,
        "rows": slice(1, 5),
    }


def for_every_protocol():
    return {
        "model": nn.Linear(3, 2).state_dict(),
        "short": "text",
        "long": "long text " * 30,
        "bytes": b"\x00\x01\xff",
        "long_bytes": bytes(range(256)) * 2,
        "bytearray": bytearray(b"buffer"),
        "set": {1, 2, 3},
        "frozenset": frozenset({4, 5}),
        "integers": [1, -1, 2**31, 2**80],
        "size": torch.Size([2, 3]),
        "args": argparse.Namespace(lr=0.1),
    }


CASES.update({name: for_every_protocol for name in SAVE_OPTIONS})


# ---- files without a description


def save_self_reference(path):
    loop = {"weight": numbers(2)}
    loop["self"] = loop
    torch.save(loop, path)


def save_name_collision(path):
    torch.save({"a.b": numbers(2), "a": {"b": numbers(3)}}, path)


WITHOUT_DESCRIPTION = [
    save_self_reference,
    save_name_collision,
]


# ---- writing


def write_case(name):
    torch.manual_seed(0)
    path = FOLDER / f"{name}.pt"
    torch.save(CASES[name](), path, **SAVE_OPTIONS.get(name, {}))
    description = describe(torch.load(path, weights_only=False))
    path.with_suffix(".json").write_text(to_json(description), encoding="utf-8")


def write_without_description(save):
    torch.manual_seed(0)
    path = UNSUPPORTED / f"{save.__name__[len('save_'):]}.pt"
    save(path)


def to_json(description):
    """One entry of a list on each line, so that a difference between two files can be read."""
    parts = [f"{json.dumps(key)}: {rows(value)}" for key, value in description.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def rows(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {rows(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(compact(row) for row in value) + "\n]"
    return compact(value)


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def attempt(name, write, argument):
    try:
        write(argument)
    except Exception as error:
        print(f"not made by {torch.__version__}: {name}: {error}")


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        attempt(name, write_case, name)
    composites.write(HERE / "composites", VERSION)
    modules.write(HERE / "modules", VERSION)
    objects.write(HERE / "objects", VERSION)
    # One version is enough for these; the newest one writes them.
    if VERSION >= (2, 0):
        UNSUPPORTED.mkdir(exist_ok=True)
        for save in WITHOUT_DESCRIPTION:
            attempt(save.__name__, write_without_description, save)


if __name__ == "__main__":
    main()
