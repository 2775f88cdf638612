#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the command line and the library against read_wmap.py, a reader that was written from
FORMAT.md alone, and both against what PyTorch itself read from the same checkpoints.

Usage: second_reader_test.py WEIGHTMAP DATA
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

READER = pathlib.Path(__file__).with_name("read_wmap.py")
SHARED_KEYS = ["format_version", "size_bytes", "digest", "alignment_bytes", "data_files",
               "composites", "modules"]
TENSOR_KEYS = ["name", "dtype", "shape", "strides", "data_file", "size_bytes", "segment", "flags"]


def run_json(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command[-1]}: exit {done.returncode}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def expect_equal(what, ours, theirs):
    if ours != theirs:
        raise AssertionError(f"{what}: {str(ours)[:300]} is not {str(theirs)[:300]}")


def compare_readers(second, tool):
    """The tool's reading of a file against the second reader's."""
    for key in SHARED_KEYS:
        expect_equal(key, tool[key], second[key])
    expect_equal("tensors", len(tool["tensors"]), len(second["tensors"]))
    expect_equal("root", tool["extras"]["root"], second["extras"]["root"])
    for ours, theirs in zip(tool["extras"]["nodes"], second["extras"]["nodes"], strict=True):
        expect_equal("node", told(ours), told(theirs))
    for ours, theirs in zip(tool["tensors"], second["tensors"]):
        for key in TENSOR_KEYS:
            expect_equal(f"{ours['name']}: {key}", ours[key], theirs[key])
        if theirs["segment"] is not None:
            expect_equal(f"{ours['name']}: offset", ours["offset_bytes"], theirs["offset_bytes"])


def told(node):
    """A node without the fields that say nothing."""
    return {key: value for key, value in node.items() if value not in ([], None)}


def elements(tensor, extent):
    """The elements in row-major order, taken out of the bytes from the first to the last."""
    size = element_bytes(tensor)
    picked = []

    def walk(dimension, offset):
        if dimension == len(tensor["shape"]):
            picked.append(extent[offset * size : offset * size + size])
            return
        for i in range(tensor["shape"][dimension]):
            walk(dimension + 1, offset + i * tensor["strides"][dimension])

    walk(0, 0)
    return b"".join(picked)


def element_bytes(tensor):
    words = {"bool": 1, "complex64": 8, "complex128": 16, "complex32": 4, "float4_e2m1fn_x2": 1}
    words |= {"bits1x8": 1, "bits2x4": 1, "bits4x2": 1, "bfloat16": 2}
    if tensor["dtype"] in words:
        return words[tensor["dtype"]]
    if tensor["dtype"].startswith("float8"):
        return 1
    return int("".join(c for c in tensor["dtype"] if c.isdigit())) // 8


def compare_with_torch(second, expected):
    """The second reader's reading against what PyTorch saw in the checkpoint."""
    expect_equal("names", [t["name"] for t in second["tensors"]], [t["name"] for t in expected["tensors"]])
    groups = {}
    for ours, theirs in zip(second["tensors"], expected["tensors"]):
        compare_tensor(ours, theirs, bytes.fromhex(second["bytes"][ours["name"]]))
        compare_sharing(ours, theirs, groups)
    modules = sorted(expected["modules"], key=lambda module: module["path"].encode())
    expect_equal("modules", second["modules"], modules)
    Walk(second["extras"], expected["values"])


def compare_tensor(ours, theirs, extent):
    name = ours["name"]
    for key in ["dtype", "shape", "strides"]:
        expect_equal(f"{name}: {key}", ours[key], theirs[key])
    for flag in ["requires_grad", "parameter", "conj", "neg", "meta"]:
        expect_equal(f"{name}: {flag}", flag in ours["flags"], theirs[flag])
    if not theirs["meta"]:
        expect_equal(f"{name}: bytes", elements(ours, extent).hex(), theirs["bytes"])


def compare_sharing(ours, theirs, groups):
    """Tensors with bytes share a segment, at the same distances, exactly where they shared a storage."""
    if theirs["storage"] is None or 0 in theirs["shape"]:
        return
    base = ours["offset_bytes"] - theirs["storage_offset_bytes"]
    expect_equal(f"{ours['name']}: shares", groups.setdefault(theirs["storage"], base), base)
    others = [value for key, value in groups.items() if key != theirs["storage"]]
    if base in others:
        raise AssertionError(f"{ours['name']}: shares bytes that PyTorch does not share")


class Walk:
    """Two object graphs side by side, from their roots: kinds, values, and what is one object."""

    CONTAINERS = {"list", "dict", "ordered_dict", "set", "counter", "default_dict", "opaque", "object"}

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours["nodes"], theirs["nodes"]
        self.twins = {}
        self.pending = [(ours["root"], theirs["root"])]
        while self.pending:
            self.compare(*self.pending.pop())

    def compare(self, a, b):
        ours, theirs = self.ours[a], self.theirs[b]
        expect_equal(f"node {a}: kind", ours["kind"], theirs["kind"])
        if ours["kind"] in self.CONTAINERS:
            expect_equal(f"node {a}: one object", self.twins.setdefault(b, a), a)
        if ours["kind"] in ("opaque", "object"):
            return self.compare_opaque(ours, theirs)
        for key in ["value", "factory"]:
            expect_equal(f"node {a}: {key}", ours.get(key), theirs.get(key))
        self.pair(ours.get("children", []), theirs.get("children", []))
        if ours["kind"] != "tensor":
            self.pair([ours.get("attributes")], [theirs.get("attributes")])

    def compare_opaque(self, ours, theirs):
        expect_equal("class", ours["value"], theirs["value"])
        arguments, _, state, _, _ = ours["children"]
        if "children" in theirs:
            self.pair(self.ours[arguments].get("children", []), theirs["children"])
        if "state" in theirs:
            self.pair([state], [theirs["state"]])

    def pair(self, ours, theirs):
        expect_equal("number of children", len(ours), len(theirs))
        self.pending += [pair for pair in zip(ours, theirs) if pair != (None, None)]


def tensor_attributes(values):
    """What hangs on tensors, which the record of the checkpoint leaves out."""
    found = {}
    for node in values["nodes"]:
        if node["kind"] == "tensor" and node.get("attributes") is not None:
            items = [values["nodes"][i]["value"] for i in values["nodes"][node["attributes"]]["children"]]
            found[node["value"]] = dict(zip(items[::2], items[1::2]))
    return found


def check_composites(tool, checkpoint, folder):
    """What a converted file says of quantized, sparse and nested tensors against what PyTorch saw."""
    target = folder / f"{checkpoint.stem}.wmap"
    run_json(tool, "convert", checkpoint, target, "--json")
    second = run_json(sys.executable, READER, "--bytes", target)
    compare_readers(second, run_json(tool, "inspect", "--json", target))
    expected = json.loads(checkpoint.with_suffix(".parts.json").read_text())
    found = {composite["name"]: composite for composite in second["composites"]}
    expect_equal("composites", sorted(found), sorted(composite["name"] for composite in expected))
    tensors = {tensor["name"]: tensor for tensor in second["tensors"]}
    for theirs in expected:
        compare_composite(found[theirs["name"]], theirs, tensors, second["bytes"])


def compare_composite(ours, theirs, tensors, extents):
    name = ours["name"]
    for key in ["kind", "dtype", "shape", "reals", "integers"]:
        expect_equal(f"{name}: {key}", ours[key], theirs[key])
    expect_equal(f"{name}: class", ours["class"], theirs.get("class"))
    for flag in ["requires_grad", "parameter"]:
        expect_equal(f"{name}: {flag}", flag in ours["flags"], theirs[flag])
    roles = [part["role"] for part in theirs["parts"]]
    expect_equal(f"{name}: roles", [part["role"] for part in ours["parts"]], roles)
    for part, wanted in zip(ours["parts"], theirs["parts"]):
        tensor = tensors[part["tensor"]]
        for key in ["dtype", "shape", "strides"]:
            expect_equal(f"{tensor['name']}: {key}", tensor[key], wanted[key])
        expect_equal(f"{tensor['name']}: bytes", extents[tensor["name"]], wanted["bytes"])


def check_fixture(tool, checkpoint, folder):
    """Converted, then adopted: the second reader finds both to say what PyTorch saw."""
    target = folder / f"{checkpoint.stem}.wmap"
    run_json(tool, "convert", checkpoint, target, "--json")
    check_weight_file(tool, checkpoint, target)
    beside = folder / "adopted.pt"
    shutil.copyfile(checkpoint, beside)
    run_json(tool, "adopt", beside, "--json")
    check_weight_file(tool, checkpoint, folder / "adopted.wmap")


def check_weight_file(tool, checkpoint, target):
    second = run_json(sys.executable, READER, "--bytes", target)
    compare_readers(second, run_json(tool, "inspect", "--json", target))
    compare_with_torch(second, json.loads(checkpoint.with_suffix(".json").read_text()))
    if checkpoint.parts[-2:] == ("torch-2.13", "attributes.pt"):
        attributes = {"parameter": {"tag": "decay"}, "tensor": {"persistent": True}}  # make.py's
        expect_equal("attributes", tensor_attributes(second["extras"]), attributes)


def main():
    tool, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    checkpoints = sorted(path for path in (data / "checkpoints").glob("torch-*/*.pt"))
    goldens = sorted(data.glob("*.wmap"))
    folders = [data / "checkpoints" / folder for folder in ("composites", "subclasses")]
    composites = sorted(path for folder in folders for path in folder.glob("*.pt"))
    if not checkpoints or not composites or not goldens:
        sys.exit("no fixtures found: nothing was tested")
    with tempfile.TemporaryDirectory() as folder:
        for checkpoint in checkpoints:
            try:
                check_fixture(tool, checkpoint, pathlib.Path(folder))
            except AssertionError as error:
                sys.exit(f"{checkpoint}: {error}")
        for checkpoint in composites:
            check_composites(tool, checkpoint, pathlib.Path(folder))
        for golden in goldens:
            compare_readers(
                run_json(sys.executable, READER, golden), run_json(tool, "inspect", "--json", golden)
            )
    print(f"{len(checkpoints) + len(composites)} checkpoints and {len(goldens)} weight files agree")


main()
