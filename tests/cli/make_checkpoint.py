"""Writes checkpoints that torch.save would not: make_checkpoint.py KIND FILE.

The pickle is made by Python's own pickle module, the archive by its zipfile module.
"""

import collections
import os
import pickle
import sys
import types
import zipfile

ZEROS = bytes(1 << 20)


def stand_in(module, name, kind=type):
    """A global that pickle writes as module.name."""
    found = kind(name, (), {}) if kind is type else kind(name)
    found.__module__, found.__qualname__ = module, name
    sys.modules.setdefault(module, types.ModuleType(module))
    setattr(sys.modules[module], name, found)
    return found


def function(name):
    def stand_in_function():
        """Never called: only its name is written."""

    stand_in_function.__name__ = name
    return stand_in_function


FloatStorage = stand_in("torch", "FloatStorage")
rebuild_tensor = stand_in("torch._utils", "_rebuild_tensor_v2", function)


class Storage:
    def __init__(self, elements):
        self.elements = elements


class Tensor:
    """float32 zeros."""

    def __init__(self, *shape, storage=None):
        elements = 1
        strides = []
        for size in reversed(shape):
            strides.insert(0, elements)
            elements *= size
        self.storage = storage or Storage(elements)
        self.shape, self.strides = shape, tuple(strides)

    def __reduce__(self):
        arguments = (self.storage, 0, self.shape, self.strides, False, collections.OrderedDict())
        return rebuild_tensor, arguments


class Pickler(pickle.Pickler):
    def __init__(self, file, storages):
        super().__init__(file, protocol=2)
        self.storages = storages

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        if obj not in self.storages:
            self.storages.append(obj)
        return ("storage", FloatStorage, str(self.storages.index(obj)), "cpu", obj.elements)


class SparseFile:
    """A file in which blocks of zeros take no room on the disk."""

    def __init__(self, path):
        self.file = open(path, "w+b")  # closed by close()

    def write(self, data):
        if data is ZEROS:
            self.file.seek(len(data), os.SEEK_CUR)
            return len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def save(value, path):
    file = SparseFile(path)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        storages = []
        with archive.open("archive/data.pkl", "w") as record:
            Pickler(record, storages).dump(value)
        archive.writestr("archive/byteorder", "little")
        for number, storage in enumerate(storages):
            with archive.open(f"archive/data/{number}", "w", force_zip64=True) as record:
                write_zeros(record, storage.elements * 4)
        archive.writestr("archive/version", "3\n")
    file.close()


def write_zeros(record, size):
    for _ in range(size // len(ZEROS)):
        record.write(ZEROS)
    if size % len(ZEROS):
        record.write(bytes(size % len(ZEROS)))


def names():
    long_name = ".".join(f"block{number}" for number in range(60)) + ".weight"
    return {
        "naïve.重み": Tensor(2, 3),
        "bell\a.escape\x1b[31m.newline\n": Tensor(4),
        long_name: Tensor(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
        "note": "\x1b]0;title\a",
    }


def numbers():
    return {"big": 2**100, "negative": -(2**64) - 1, "huge": 1 << 40000, "edge": 2**53 + 1}


def large():
    return {"weight": Tensor(128, 1 << 20), "bias": Tensor(16)}  # 512 MiB


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


KINDS = {"names": names, "numbers": numbers, "large": large, "attack": Attack}

if __name__ == "__main__":
    save(KINDS[sys.argv[1]](), sys.argv[2])
