# SPDX-License-Identifier: Apache-2.0
"""Tensors as facts: numbered storages of bytes and numbered tensors over them, from which this script
and the replay make the same tensors, and by which it is told what became of them."""

import torch

DTYPES = {
    name: getattr(torch, name)
    for name in "float32 float64 float16 bfloat16 float8_e4m3fn float8_e5m2 complex64 int64 int32 int16 uint8 bool".split()
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
SIZES = {name: dtype.itemsize for name, dtype in DTYPES.items()}


def is_whole(name):
    return name.startswith(("int", "uint"))


def pool_of(dtype, values):
    tensor = torch.tensor(values).to(dtype).contiguous()
    raw = tensor.view(torch.uint8).numpy().tobytes()
    return [raw[i : i + dtype.itemsize] for i in range(0, len(raw), dtype.itemsize)]


# Floats that any integer can be: what becomes of others is not C++'s to say (copy_test.py has them).
TAME = [i / 8 for i in range(80)] + [13.0, 100.0, 127.0, 0.1, 1.0 / 3.0]
WILD = TAME + [-x for x in TAME] + [float("inf"), float("-inf"), float("nan"), -0.0, 1e-40, 7e4, 1e30, 3e-5]
WHOLE = list(range(-20, 128))


def pools(floats):
    made = {}
    for name, dtype in DTYPES.items():
        if name == "complex64":
            made[name] = pool_of(dtype, [complex(x, y) for x, y in zip(floats, floats[7:])])
        elif name == "bool":
            made[name] = [b"\0", b"\1"]
        else:
            made[name] = pool_of(dtype, WHOLE if is_whole(name) else floats)
    return made


POOLS = {"tame": pools(TAME), "wild": pools(WILD)}


def contiguous(shape):
    strides = [1] * len(shape)
    for i in range(len(shape) - 1, 0, -1):
        strides[i - 1] = strides[i] * max(shape[i], 1)
    return strides


def count(shape):
    product = 1
    for size in shape:
        product *= size
    return product


class Facts:
    """What a case says of bytes. Storages after the first `given` were made by PyTorch meanwhile."""

    def __init__(self):
        self.storages = []
        self.given = None
        self.tensors = []
        self.numbers = {}

    def add_storage(self, content):
        self.storages.append(bytes(content))
        return len(self.storages) - 1

    def add_tensor(self, storage, offset, dtype, shape, strides, flags=""):
        key = (storage, offset, dtype, tuple(shape), tuple(strides), flags)
        if key not in self.numbers:
            self.numbers[key] = len(self.tensors)
            self.tensors.append([storage, offset, dtype, list(shape), list(strides), flags])
        return self.numbers[key]

    def plain(self, number):
        """The same place as a plain tensor."""
        *place, flags = self.tensors[number]
        return self.add_tensor(*place, "m" if "m" in flags else "")


class Memory:
    """The storages of a case, made anew: each load has its own."""

    def __init__(self, facts):
        self.facts = facts
        self.storages = []
        self.numbers = {}
        for number, content in enumerate(facts.storages[: facts.given]):
            self.keep(number, self.storage_of(content))

    @staticmethod
    def storage_of(content):
        if not content:
            return torch.empty(0, dtype=torch.uint8).untyped_storage()
        return torch.frombuffer(bytearray(content), dtype=torch.uint8).clone().untyped_storage()

    def keep(self, number, storage):
        self.numbers[storage._cdata] = number
        self.storages.append((number, storage))

    def new_number(self, content):
        """What is made alike in several runs has one number."""
        first = len(self.facts.storages) if self.facts.given is None else self.facts.given
        for number in range(first, len(self.facts.storages)):
            if self.facts.storages[number] == content and number not in self.numbers.values():
                return number
        return self.facts.add_storage(content)

    def make(self, number):
        storage, offset, dtype, shape, strides, flags = self.facts.tensors[number]
        if "m" in flags:
            tensor = torch.empty_strided(shape, strides, dtype=DTYPES[dtype], device="meta")
        else:
            tensor = torch.empty(0, dtype=DTYPES[dtype])
            tensor.set_(self.storages[storage][1], offset // SIZES[dtype], shape, strides)
        if "c" in flags:
            tensor = tensor.conj()
        if "n" in flags:
            tensor = torch._neg_view(tensor)
        if "p" in flags:
            tensor = torch.nn.Parameter(tensor, requires_grad="r" in flags)
        return tensor

    def describe(self, tensor, with_flags=True):
        flags = ("c" if tensor.is_conj() else "") + ("n" if tensor.is_neg() else "") + ("m" if tensor.is_meta else "")
        if with_flags:
            flags += "p" if isinstance(tensor, torch.nn.Parameter) else ""
            flags += "r" if tensor.requires_grad else ""
        name = NAMES[tensor.dtype]
        if tensor.is_meta:
            return self.facts.add_tensor(None, 0, name, tensor.shape, tensor.stride(), flags)
        storage = tensor.untyped_storage()
        if storage._cdata not in self.numbers:
            self.keep(self.new_number(content_of(storage)), storage)
        number = self.numbers[storage._cdata]
        offset = tensor.storage_offset() * SIZES[name]
        return self.facts.add_tensor(number, offset, name, tensor.shape, tensor.stride(), flags)

    def changes(self):
        """The storages that are not what the case says, with what is in them."""
        found = {}
        for number, storage in self.storages:
            content = content_of(storage)
            if content != self.facts.storages[number]:
                found[str(number)] = content.hex()
        return found


def content_of(storage):
    if storage.nbytes() == 0:
        return b""
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes()
