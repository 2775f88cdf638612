"""What PyTorch sees in a loaded checkpoint, as plain data for JSON. ../README.md explains the fields."""

import collections
import ctypes
import math

import torch

INTEGER_OF_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
EXACT_IN_DOUBLE = 2**53
# Classes that a reader may know without PyTorch.
PLAIN_DATA = ("argparse.Namespace", "pathlib.", "datetime.")


def describe(root):
    named = [(path or "tensor", value) for path, value in walk(root) if torch.is_tensor(value)]
    first_names = {id(tensor): name for name, tensor in reversed(named)}
    storages = Storages()
    tensors = [describe_tensor(name, tensor, storages) for name, tensor in named]
    return {
        "torch": torch.__version__.split("+")[0],
        "storages": storages.described,
        "tensors": tensors,
        "modules": list(module_versions(root)),
        "values": Nodes(first_names).graph(root),
    }


# ---- paths


def walk(value, path=""):
    """Every (path, value), containers before what they hold, in their own order."""
    yield path, value
    for key, child in items(value):
        yield from walk(child, join(path, str(key)))


def items(value):
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, (list, tuple)):
        return enumerate(value)
    return ()


def join(path, name):
    return f"{path}.{name}" if path and name else path or name


def module_versions(root):
    for path, value in walk(root):
        for module, facts in getattr(value, "_metadata", {}).items():
            if isinstance(facts.get("version"), int):
                yield {"path": join(path, module), "version": facts["version"]}


# ---- tensors


class Storages:
    """The distinct storages, numbered in the order in which tensors first use them."""

    def __init__(self):
        self.described = []
        self.numbers = {}

    def number(self, tensor):
        """The storage of a tensor, or None where there are no bytes to share."""
        if tensor.is_meta or untyped_storage(tensor).nbytes() == 0:
            return None
        storage = untyped_storage(tensor)
        identity = (storage.data_ptr(), storage.nbytes())
        if identity not in self.numbers:
            self.numbers[identity] = len(self.described)
            self.described.append({"size_bytes": identity[1], "bytes": memory_hex(*identity)})
        return self.numbers[identity]


def untyped_storage(tensor):
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage()
    return tensor.storage().untyped()  # before 2.0


def memory_hex(address, size):
    return ctypes.string_at(address, size).hex()


def describe_tensor(name, tensor, storages):
    return {
        "name": name,
        "dtype": dtype_name(tensor.dtype),
        "shape": list(tensor.shape),
        "strides": list(tensor.stride()),
        "storage": storages.number(tensor),
        "storage_offset_bytes": tensor.storage_offset() * tensor.element_size(),
        "requires_grad": tensor.requires_grad,
        "parameter": isinstance(tensor, torch.nn.Parameter),
        "conj": tensor.is_conj(),
        "neg": tensor.is_neg(),
        "meta": tensor.is_meta,
        "bytes": "" if tensor.is_meta else elements_hex(tensor.detach()),
    }


def dtype_name(dtype):
    return str(dtype)[len("torch."):]


def elements_hex(tensor):
    """The stored elements in row-major order."""
    elements = as_integers(without_lazy_bits(tensor)).contiguous()
    return memory_hex(elements.data_ptr(), elements.numel() * elements.element_size())


def without_lazy_bits(tensor):
    """The same memory without the lazy bits: taking the conjugate or the negative again removes one."""
    if tensor.is_conj():
        tensor = tensor.conj()
    return torch._neg_view(tensor) if tensor.is_neg() else tensor


def as_integers(tensor):
    """The same elements as integers, since few operations know the rare dtypes."""
    if tensor.element_size() == 16:
        return torch.view_as_real(tensor).view(torch.int64)
    return tensor.view(INTEGER_OF_SIZE[tensor.element_size()])


# ---- values


class Nodes:
    """The values as a graph: one node for each object, the objects inside it before it."""

    SCALARS = {
        type(None): ("none", lambda value: None),
        bool: ("bool", lambda value: value),
        int: ("int", lambda value: number(value)),
        float: ("float", lambda value: real(value)),
        complex: ("complex", lambda value: [real(value.real), real(value.imag)]),
        str: ("str", lambda value: value),
        bytes: ("bytes", lambda value: value.hex()),
        bytearray: ("bytearray", lambda value: value.hex()),
        torch.dtype: ("dtype", lambda value: dtype_name(value)),
        torch.device: ("device", lambda value: str(value)),
    }
    SEQUENCES = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset", torch.Size: "size"}
    MAPPINGS = {
        dict: "dict",
        collections.OrderedDict: "ordered_dict",
        collections.Counter: "counter",
        collections.defaultdict: "default_dict",
    }

    def __init__(self, tensor_names):
        self.tensor_names = tensor_names
        self.nodes = []
        self.seen = {}

    def graph(self, root):
        return {"root": self.number(root), "nodes": self.nodes}

    def number(self, value):
        if not self.has_identity(value):
            return self.append(self.node(value))
        if id(value) not in self.seen:
            # The value is kept so that no other object gets its id.
            self.seen[id(value)] = self.append(self.node(value)), value
        return self.seen[id(value)][0]

    def has_identity(self, value):
        """Whether a second mention of this object says more than an equal value would."""
        if type(value) in (tuple, frozenset) and not value:
            return False  # Python has one empty one for all
        return type(value) not in self.SCALARS

    def append(self, node):
        self.nodes.append(node)
        return len(self.nodes) - 1

    def numbers(self, values):
        return [self.number(value) for value in values]

    def node(self, value):
        if torch.is_tensor(value):
            return {"kind": "tensor", "value": self.tensor_names[id(value)]}
        if type(value) in self.SCALARS:
            kind, represent = self.SCALARS[type(value)]
            return {"kind": kind, "value": represent(value)}
        if type(value) in self.SEQUENCES:
            return {"kind": self.SEQUENCES[type(value)], "children": self.numbers(value)}
        return self.mapping(value) if type(value) in self.MAPPINGS else self.opaque(value)

    def mapping(self, value):
        node = {"kind": self.MAPPINGS[type(value)]}
        node["children"] = self.numbers(part for pair in value.items() for part in pair)
        if getattr(value, "__dict__", None):
            node["attributes"] = self.number(vars(value))
        if isinstance(value, collections.defaultdict):
            node["factory"] = value.default_factory and qualified_name(value.default_factory)
        return node

    def opaque(self, value):
        """Any other object: its class, and what a pickle would hold to make it again."""
        arguments, state = reduced(value)
        name = qualified_name(type(value))
        node = {"kind": "object" if name.startswith(PLAIN_DATA) else "opaque", "value": name}
        if arguments:
            node["children"] = self.numbers(arguments)
        if state is not None:
            node["state"] = self.number(state)
        return node


def number(value):
    return value if abs(value) <= EXACT_IN_DOUBLE else str(value)


def real(value):
    return value if math.isfinite(value) else str(value)


def qualified_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def reduced(value):
    """The (arguments, state) that protocol 2, the default of torch.save, stores for an object."""
    rebuild, arguments, state = (value.__reduce_ex__(2) + (None,))[:3]
    if rebuild.__name__ == "__newobj__":
        arguments = arguments[1:]  # the first one is the class
    return arguments, state
