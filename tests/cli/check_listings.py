"""Compares `inspect --json` of every checkpoint, and of the weight file it converts to, with what
PyTorch saw in it (../data/README.md): names, dtypes, shapes, strides, flags, versions, values and the
bytes of every element, read from where the listing says they are."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

WEIGHTMAP = os.environ["WEIGHTMAP"]
CHECKPOINTS = Path(os.environ["DATA"]) / "checkpoints"
ELEMENT_BYTES = {
    **dict.fromkeys(["bool", "uint8", "int8", "bits8", "bits1x8", "bits2x4", "bits4x2"], 1),
    **dict.fromkeys(["float4_e2m1fn_x2"], 1),
    **dict.fromkeys(["int16", "uint16", "float16", "bfloat16", "bits16"], 2),
    **dict.fromkeys(["int32", "uint32", "float32", "complex32"], 4),
    **dict.fromkeys(["int64", "uint64", "float64", "complex64"], 8),
    **dict.fromkeys(["complex128"], 16),
}
SHARED_KINDS = {"list", "set", "dict", "ordered_dict", "counter", "default_dict", "tensor"}
ABSENT = {"kind": "none", "value": None}


def element_bytes(dtype):
    return 1 if dtype.startswith("float8") else ELEMENT_BYTES[dtype]


class Values:
    """Two graphs of values, walked side by side."""

    def __init__(self, expected, actual):
        self.expected, self.actual = expected["nodes"], actual["nodes"]
        self.same = {}
        self.compare(expected["root"], actual["root"], "root")

    def compare(self, expected, actual, where):
        if self.expected[expected]["kind"] in SHARED_KINDS:
            # What is one object there is one object here, and the other way round.
            assert self.same.get(expected, actual) == actual, f"{where} is not shared as it was"
            assert actual not in self.same.values() or expected in self.same, f"{where} is shared"
            if expected in self.same:
                return
            self.same[expected] = actual
        wanted, got = self.expected[expected], self.actual[actual]
        assert wanted["kind"] == got["kind"], f"{where}: {wanted} vs {got}"
        for field in ("value", "factory"):
            assert wanted.get(field) == got.get(field), f"{where}: {wanted} vs {got}"
        if wanted["kind"] in ("opaque", "object"):
            self.compare_opaque(wanted, got, where)
        else:
            self.compare_items(wanted.get("children", []), got.get("children", []), where)
        assert ("attributes" in wanted) == ("attributes" in got), where
        if "attributes" in wanted:
            self.compare(wanted["attributes"], got["attributes"], where + ".__dict__")

    def compare_items(self, expected, actual, where):
        assert len(expected) == len(actual), f"{where}: {expected} vs {actual}"
        for number, pair in enumerate(zip(expected, actual)):
            self.compare(*pair, f"{where}[{number}]")

    def compare_opaque(self, wanted, got, where):
        arguments, keywords, state, *items = (self.actual[child] for child in got["children"])
        self.compare_items(wanted.get("children", []), arguments.get("children", []), where)
        assert [keywords, *items] == [ABSENT] * 3, f"{where}: {got}"
        if "state" in wanted:
            self.compare(wanted["state"], got["children"][2], where + ".state")
        else:
            assert state == ABSENT, f"{where}: {state}"


def check_tensor(expected, actual, file):
    for field in ("name", "dtype", "shape", "strides"):
        assert expected[field] == actual[field], f"{expected['name']}: {actual}"
    words = [word for word in ("parameter", "requires_grad", "conj", "neg") if expected[word]]
    words += ["meta"] if expected["meta"] else []
    assert words == actual["flags"], f"{expected['name']}: {actual['flags']}"
    assert expected["bytes"] == stored_bytes(actual, file), f"{expected['name']}: other bytes"


def stored_bytes(tensor, file):
    """Hex of the elements in row-major order."""
    if tensor["segment"] is None:
        assert tensor["size_bytes"] == 0 and tensor["offset_bytes"] is None, tensor
        return ""
    size = element_bytes(tensor["dtype"])
    offsets = [0]
    for length, stride in zip(tensor["shape"], tensor["strides"]):
        offsets = [offset + i * stride * size for offset in offsets for i in range(length)]
    assert not offsets or tensor["size_bytes"] == max(offsets) + size, tensor
    begin = tensor["offset_bytes"]
    return b"".join(file[begin + offset : begin + offset + size] for offset in offsets).hex()


def check_segments(expected, actual):
    """Tensors share a segment exactly when they shared a storage."""
    pairs = [
        (wanted["storage"], got["segment"])
        for wanted, got in zip(expected, actual)
        if got["segment"] is not None
    ]
    assert len(set(pairs)) == len(set(a for a, _ in pairs)) == len(set(b for _, b in pairs)), pairs


def check_listing(listing, expected, file):
    names = [tensor["name"] for tensor in listing["tensors"]]
    assert names == [tensor["name"] for tensor in expected["tensors"]], names
    for wanted, got in zip(expected["tensors"], listing["tensors"]):
        check_tensor(wanted, got, file)
    check_segments(expected["tensors"], listing["tensors"])
    modules = sorted(expected["modules"], key=lambda module: module["path"].encode())
    listed = sorted(listing["modules"], key=lambda module: module["path"].encode())
    assert modules == listed, listed
    assert listing["size_bytes"] == len(file)
    Values(expected["values"], listing["extras"])


def check_weight_file(listing, file):
    """The places of FORMAT.md 2.1 that the listing tells of."""
    major, minor = struct.unpack_from("<HH", file, 8)
    assert listing["format_version"] == f"{major}.{minor}"
    assert listing["alignment_bytes"] == struct.unpack_from("<I", file, 72)[0] == 64
    assert listing["digest"] == file[96:112].hex()
    own = {"name": "", "kind": "self", "size_bytes": len(file), "alignment_bytes": 64}
    assert listing["data_files"] == [{**own, "identity": None}], listing["data_files"]


def check_source(listing, file):
    for field in ("format_version", "digest", "alignment_bytes"):
        assert listing[field] is None
    own = {"name": "", "kind": "zip checkpoint", "size_bytes": len(file)}
    assert listing["data_files"] == [{**own, "alignment_bytes": None, "identity": None}]


def inspect(path):
    done = subprocess.run(
        [WEIGHTMAP, "inspect", path, "--json"], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout), Path(path).read_bytes()


def check(path):
    with_description = path.with_suffix(".json")
    expected = json.loads(with_description.read_text(encoding="utf-8"))
    listing, file = inspect(path)
    check_listing(listing, expected, file)
    check_source(listing, file)
    subprocess.run(
        [WEIGHTMAP, "convert", path, "out.wmap", "--no-sync"], stdout=subprocess.DEVNULL, check=True
    )
    listing, file = inspect("out.wmap")
    check_listing(listing, expected, file)
    check_weight_file(listing, file)


def main():
    paths = sorted(CHECKPOINTS.glob("torch-*/*.pt"))
    failed = 0
    for path in paths:
        try:
            check(path)
        except (AssertionError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{path.parent.name}/{path.name}: {error}")
    print(f"{len(paths) - failed} of {len(paths)} checkpoints listed as PyTorch saw them")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
