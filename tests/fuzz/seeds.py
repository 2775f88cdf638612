"""Writes inputs that the fuzzers begin with: data files beside a weight file, composites, pickles of
protocols 0 and 1. (Others are pieces of fixtures, which tests/data/checkpoints/make_containers.py
and the tests' own writers made.)

    python seeds.py      (Python 3.11; nothing else is needed)
"""

import collections
import io
import math
import pathlib
import pickle
import struct
import sys
import types

CORPUS = pathlib.Path(__file__).parent / "corpus"


# ---- data files: what fuzz_data_files.cpp takes apart

WMAP, ZIP, SAFETENSORS = 1, 2, 3
SIZE, IDENTITY = 1, 2
TRUE = SIZE | IDENTITY


def data_file(name, kind=ZIP, truths=TRUE, size=0, identity=b"", segments=(), alignment_log2=0):
    said = b"" if truths & SIZE else struct.pack("<Q", size)
    said += b"" if truths & IDENTITY else identity.ljust(16, b"\0")
    ranges = b"".join(struct.pack("<QQ", *segment) for segment in segments)
    name = name.encode()
    head = bytes([kind, truths, alignment_log2, len(name)]) + name + said
    return head + bytes([len(segments)]) + ranges


def over(data, *files):
    return len(data).to_bytes(2, "little") + data + b"".join(files)


def zip_end(directory_offset, comment=b""):
    return struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 1, 1, 46, directory_offset, len(comment)) + comment


def zip64_end(directory_offset, begin):
    """The ZIP64 end, its locator and an end that refers to them."""
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 46, directory_offset)
    return end + struct.pack("<4sIQI", b"PK\6\7", 0, begin, 1) + zip_end(0xFFFFFFFF)


def data_files():
    directory = b"x" * 64 + b"PK\1\2".ljust(46, b"\0")
    header = b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}'
    tensors = len(header).to_bytes(8, "little") + header + bytes(range(8))
    some = [(0, 8), (8, 8)]
    return {
        "nothing": over(b""),
        "zip": over(b"", data_file("zip", segments=[(44, 100)])),
        "safetensors": over(b"", data_file("tensors", SAFETENSORS, segments=[(10, 50), (60, 50)])),
        "wmap": over(b"", data_file("weights", WMAP, segments=[(0, 128)], alignment_log2=6)),
        "all": over(
            directory + zip_end(64),
            data_file("data", segments=some),
            data_file("hub", segments=some),
            data_file("link"),
            data_file("tensors", SAFETENSORS),
            data_file("weights", WMAP),
            data_file("zip"),
        ),
        "own_zip": over(directory + zip_end(64, b"comment"), data_file("data", segments=some)),
        "own_zip64": over(directory + zip64_end(64, 110), data_file("data", segments=some)),
        "own_safetensors": over(tensors, data_file("data", SAFETENSORS, segments=[(61, 8)])),
        "two_ends": over(directory + zip_end(64, zip_end(0)), data_file("link", segments=some)),
        "fifo": over(b"", data_file("fifo", size=1, truths=0, identity=b"i")),
        "to_fifo": over(b"", data_file("to-fifo", size=1, truths=0, identity=b"i")),
        "device": over(b"", data_file("device", size=1, truths=0, identity=b"i")),
        "directory": over(b"", data_file("blobs", size=4096, truths=0, identity=b"i")),
        "dead": over(b"", data_file("dead", size=1, truths=0, identity=b"i")),
        "missing": over(b"", data_file("missing", size=1, truths=0, identity=b"i")),
        "itself": over(b"", data_file("model.wmap", WMAP, size=640, truths=0, identity=b"i")),
        "outside": over(b"", data_file("../outside", segments=some)),
        "below": over(b"", data_file("blobs/1", segments=some)),
        "parent": over(b"", data_file("..", size=1, truths=0, identity=b"i")),
        "no_name": over(b"", data_file("", size=1, truths=0, identity=b"i")),
        "nul": over(b"", data_file("zip\0", size=1, truths=0, identity=b"i")),
        "line_break": over(b"", data_file("a\nb\x1b[2J", size=1, truths=0, identity=b"i")),
        "other_size": over(b"", data_file("zip", truths=IDENTITY, size=200, segments=some)),
        "other_identity": over(b"", data_file("zip", truths=SIZE, identity=b"i", segments=some)),
        "no_identity": over(b"", data_file("zip", truths=SIZE, segments=some)),
        "kind_self": over(b"", data_file("zip", kind=0, truths=SIZE, identity=b"i")),
        "other_kind": over(b"", data_file("zip", kind=SAFETENSORS, segments=some)),
        "twice": over(b"", data_file("zip"), data_file("zip")),
        "beyond": over(b"", data_file("zip", segments=[(0, 1 << 62)])),
        "wraps": over(b"", data_file("zip", segments=[(2**64 - 8, 16)])),
    }


# ---- pickles: what fuzz_checkpoint.cpp puts into an archive with the storages `0` (16 bytes) and
# `1` (64 bytes). Classes and functions of PyTorch are stood in for by name.


class Name:
    """Is pickled as the global of its name, and its calls as calls of that. One object a name."""

    def __new__(cls, module, name):
        path = module.split(".")
        for end in range(1, len(path) + 1):
            parent = ".".join(path[:end])
            place = sys.modules.setdefault(parent, types.ModuleType(parent))
        if not hasattr(place, name):
            setattr(place, name, super().__new__(cls))
        return getattr(place, name)

    def __init__(self, module, name):
        self.__module__, self.__qualname__, self.__name__ = module, name, name

    def __reduce__(self):
        return self.__name__

    def __call__(self, *arguments):
        return Call(self, arguments)


class Call:
    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Storage:
    def __init__(self, kind, key, numel):
        self.id = ("storage", Name("torch", kind + "Storage"), key, "cpu", numel)


class Pickler(pickle._Pickler):
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None


def pickled(value, protocol=2):
    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue()


def hooks():
    return collections.OrderedDict()


def rebuild(name, *arguments):
    return Name("torch._utils", name)(*arguments)


def strides(shape):
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def tensor(shape, kind="Float", key="0", numel=4):
    storage = Storage(kind, key, numel)
    return rebuild("_rebuild_tensor_v2", storage, 0, shape, strides(shape), False, hooks())


def longs(*shape):
    return tensor(shape, "Long", "1", 8)


def quantized(quantizer, kind="QInt8", shape=(4, 4), numel=16):
    storage = Storage(kind, "0", numel)
    return rebuild("_rebuild_qtensor", storage, 0, shape, strides(shape), quantizer, False, hooks())


def sparse(layout, *data):
    return rebuild("_rebuild_sparse_tensor", Name("torch.serialization", "_get_layout")(layout), data)


def compressed(layout, values):
    return sparse(layout, longs(3), longs(2), values, (2, 2))


def jagged():
    nested = "torch.nested._internal.nested_tensor"
    values, offsets, cache = tensor((4,)), longs(3), {}
    state = {"_ragged_idx": 1, "_values": values, "_offsets": offsets, "_lengths": None}
    arguments = {"values": values, "offsets": offsets, "lengths": None, "_ragged_idx": 1}
    return Name("torch._tensor", "_rebuild_from_type_v2")(
        Name(nested, "_rebuild_njt"),
        Name(nested, "NestedTensor"),
        (arguments | {"_metadata_cache": cache, "requires_grad": False},),
        state | {"_metadata_cache": cache},
    )


def composites():
    float_affine = Name("torch", "per_channel_affine_float_qparams")
    affine = Name("torch", "per_channel_affine")
    size = Name("torch", "Size")
    sparse_coo = sparse("torch.sparse_coo", longs(2, 2), tensor((2,)), size((3, 4)), True)
    return {
        "per_tensor": quantized((Name("torch", "per_tensor_affine"), 0.5, 3)),
        "per_channel": quantized((affine, tensor((4,), "Double", "1", 8), longs(4), 0)),
        "per_channel_float": quantized((float_affine, tensor((4,)), tensor((4,)), 1), "QUInt4x2"),
        "quint2x4": quantized((Name("torch", "per_tensor_affine"), 0.5, 3), "QUInt2x4"),
        "sparse_coo": sparse_coo,
        "sparse_csr": compressed("torch.sparse_csr", tensor((2,))),
        "sparse_csc": compressed("torch.sparse_csc", tensor((2,))),
        "sparse_bsr": compressed("torch.sparse_bsr", tensor((2, 1, 1))),
        "sparse_bsc": compressed("torch.sparse_bsc", tensor((2, 1, 1))),
        "nested": rebuild("_rebuild_nested_tensor", tensor((4,)), longs(2, 2), longs(2, 2), longs(2)),
        "parameter": rebuild("_rebuild_parameter", sparse_coo, True, hooks()),
        "wrapper": Name("torch._tensor", "_rebuild_from_type_v2")(
            Name("torch._utils", "_rebuild_wrapper_subclass"),
            Name("my.module", "MyTensor"),
            (Name("my.module", "MyTensor"), Name("torch", "float32"), size((4,)), size((1,)), 0),
            {"inner": tensor((4,))},
        ),
        "jagged": jagged(),
    }


class Object:
    def __init__(self, **state):
        self.__dict__.update(state)


def values():
    Object.__module__, Object.__qualname__ = "my.module", "Object"
    sys.modules["my.module"].Object = Object
    shared = [1]
    return {
        "numbers": [None, True, 0, -1, 2**31, -(2**63), 2**80, 0.5, float("inf"), 1 - 2j],
        "texts": ["", "it's \\", "réseau 🙂", b"\xff\0", bytearray(b"x")],
        "containers": [(), (1,), (1, 2), {"a": {}}, {1}, frozenset({2}), [shared, shared]],
        "ordered": collections.OrderedDict(a=1),
        "object": Object(a=1),
    }


def write(folder, name, content):
    (CORPUS / folder).mkdir(exist_ok=True)
    (CORPUS / folder / name).write_bytes(content)


def main():
    for name, content in data_files().items():
        write("data_files", name, content)
    for name, value in composites().items():
        write("checkpoint", f"composite_{name}.pkl", pickled({"a": value}))
    for protocol in (0, 1):
        write("checkpoint", f"protocol{protocol}_values.pkl", pickled(values(), protocol))
    write("checkpoint", "protocol1_tensors.pkl", pickled({"a": tensor((2, 2)), "b": longs(8)}, 1))
    head = pickled(1001, 1) + pickled({"little_endian": True}, 1)
    storage = struct.pack("<q", 4) + bytes(16)
    write("legacy", "protocol1", head + pickled({"a": tensor((2, 2))}, 1) + pickled(["0"], 1) + storage)


if __name__ == "__main__":
    main()
