"""Checks the JSON files against the checkpoints by other routes than the ones that wrote them.

    python check.py      (checks the files of this version of PyTorch and of older ones)
"""

import collections
import json
import pathlib
import pydoc
import struct
import warnings
import zipfile

import torch

HERE = pathlib.Path(__file__).parent
ITEM_FORMATS = {"float32": "<f", "complex64": "<ff"}


# ---- bytes


def named_tensors(root):
    return {dotted(path) or "tensor": value for path, value in located(root) if torch.is_tensor(value)}


def dotted(path):
    return ".".join(part for part in path if part)


def check_storages(path, description):
    """The storages are the data records of the archive, all of them."""
    with zipfile.ZipFile(path) as archive:
        records = [archive.read(name) for name in archive.namelist() if "/data/" in name]
    described = [bytes.fromhex(storage["bytes"]) for storage in description["storages"]]
    assert sorted(described) == sorted(record for record in records if record)
    assert [len(storage) for storage in described] == [
        storage["size_bytes"] for storage in description["storages"]
    ]


def check_elements(description):
    """Every tensor's bytes are those that its strides pick from its storage."""
    for entry in description["tensors"]:
        if not entry["meta"]:
            assert bytes.fromhex(entry["bytes"]) == picked(entry, description["storages"]), entry["name"]


def picked(entry, storages):
    size = torch.empty(0, dtype=getattr(torch, entry["dtype"])).element_size()
    storage = b"" if entry["storage"] is None else bytes.fromhex(storages[entry["storage"]]["bytes"])
    starts = [entry["storage_offset_bytes"] + size * i for i in positions(entry["shape"], entry["strides"])]
    return b"".join(storage[start : start + size] for start in starts)


def positions(shape, strides):
    """Row-major: the last dimension changes first."""
    if not shape:
        return [0]
    inner = positions(shape[1:], strides[1:])
    return [i * strides[0] + position for i in range(shape[0]) for position in inner]


def check_reloaded(description, tensors):
    assert [entry["name"] for entry in description["tensors"]] == list(tensors)
    for entry in description["tensors"]:
        tensor = tensors[entry["name"]].detach()
        assert str(tensor.dtype) == "torch." + entry["dtype"]
        assert (list(tensor.shape), list(tensor.stride())) == (entry["shape"], entry["strides"])
        assert entry["parameter"] == (type(tensors[entry["name"]]) is torch.nn.Parameter)
        assert entry["requires_grad"] == tensors[entry["name"]].requires_grad
        assert entry["meta"] or same_elements(entry, tensor), entry["name"]


def same_elements(entry, tensor):
    if entry["conj"] or entry["neg"]:
        return resolved(entry) == tensor.flatten().tolist()
    return bytes.fromhex(entry["bytes"]) == bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())


def resolved(entry):
    """The values that the stored bytes stand for."""
    items = struct.iter_unpack(ITEM_FORMATS[entry["dtype"]], bytes.fromhex(entry["bytes"]))
    values = [item[0] if len(item) == 1 else complex(*item) for item in items]
    values = [value.conjugate() for value in values] if entry["conj"] else values
    return [-value for value in values] if entry["neg"] else values


# ---- modules and values


def check_modules(description, loaded):
    found = [
        {"path": dotted(path + (module,)), "version": facts["version"]}
        for path, value in located(loaded)
        if type(value) is collections.OrderedDict
        for module, facts in vars(value).get("_metadata", {}).items()
        if "version" in facts
    ]
    assert description["modules"] == found


class Name(str):
    """Stands for a tensor in a rebuilt graph."""

    __repr__ = str.__str__


def pairs(parts):
    return list(zip(parts[::2], parts[1::2]))


# From the value in the JSON and the rebuilt children to what Python had.
BUILDERS = {
    "none": lambda value, parts: None,
    "bool": lambda value, parts: value,
    "int": lambda value, parts: int(value),
    "float": lambda value, parts: float(value),
    "complex": lambda value, parts: complex(*map(float, value)),
    "str": lambda value, parts: value,
    "bytes": lambda value, parts: bytes.fromhex(value),
    "bytearray": lambda value, parts: bytearray.fromhex(value),
    "dtype": lambda value, parts: getattr(torch, value),
    "device": lambda value, parts: torch.device(value),
    "tensor": lambda value, parts: Name(value),
    "list": lambda value, parts: parts,
    "tuple": lambda value, parts: tuple(parts),
    "set": lambda value, parts: set(parts),
    "frozenset": lambda value, parts: frozenset(parts),
    "size": lambda value, parts: torch.Size(parts),
    "dict": lambda value, parts: dict(pairs(parts)),
    "ordered_dict": lambda value, parts: collections.OrderedDict(pairs(parts)),
    "counter": lambda value, parts: collections.Counter(dict(pairs(parts))),
    "default_dict": lambda value, parts: collections.defaultdict(None, pairs(parts)),
    "opaque": lambda value, parts: pydoc.locate(value)(*parts),
    "object": lambda value, parts: pydoc.locate(value)(*parts),
}


def rebuild(graph):
    built = []
    for node in graph["nodes"]:
        parts = [built[number] for number in node.get("children", [])]
        value = BUILDERS[node["kind"]](node.get("value"), parts)
        for link in {"attributes", "state"} & node.keys():
            vars(value).update(built[node[link]])
        if node.get("factory"):
            value.default_factory = pydoc.locate(node["factory"])
        built.append(value)
    assert graph["root"] == len(built) - 1
    return built[-1]


def facts(root):
    """What repr says and what it leaves out: attributes of ordered dicts, and which objects are one."""
    objects = [value for _, value in located(root)]
    attributes = [vars(value) for value in objects if type(value) is collections.OrderedDict]
    first = {}
    compared = [value for value in objects if isinstance(value, (dict, list, tuple, torch.Tensor, Name))]
    sharing = [first.setdefault(id(value), place) for place, value in enumerate(compared)]
    return repr((root, attributes, sharing))


def located(value, path=()):
    yield path, value
    for key, child in children(value):
        yield from located(child, path + (str(key),))


def children(value):
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if type(value) in (list, tuple) else []


def check_values(description, loaded, tensors):
    first_names = {}
    for name, tensor in tensors.items():
        first_names.setdefault(id(tensor), name)
    show_tensors_as(first_names)
    assert facts(rebuild(description["values"])) == facts(loaded)


def show_tensors_as(names):
    def name(tensor, **_):
        return names[id(tensor)]

    torch.Tensor.__repr__ = torch.nn.Parameter.__repr__ = name


# ---- all files


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def check(path):
    description = json.loads(path.with_suffix(".json").read_text("utf-8"), parse_constant=refuse)
    loaded = torch.load(path, weights_only=False)
    tensors = named_tensors(loaded)
    check_storages(path, description)
    check_elements(description)
    check_reloaded(description, tensors)
    check_modules(description, loaded)
    check_values(description, loaded, tensors)


def version(name):
    return tuple(int(part) for part in name.split("-")[-1].split(".")[:2])


def main():
    warnings.filterwarnings("ignore")
    known = version(torch.__version__)
    paths = sorted(path for path in HERE.glob("torch-*/*.pt") if version(path.parent.name) <= known)
    for path in paths:
        check(path)
    print(f"{len(paths)} checkpoints agree with their descriptions, says torch {torch.__version__}")


if __name__ == "__main__":
    main()
