# SPDX-License-Identifier: Apache-2.0
"""Compares two objects as torch.load returned them: types, order, values, and what is one object.

Shares no code with what wrote them.
"""

import collections
import struct

import torch


class Difference(AssertionError):
    """What differs, after the path to it."""


def compare(ours, theirs):
    Comparison().run(ours, theirs)


def bits(number):
    return struct.pack("<d", number)


def element_bytes(tensor, offset):
    return offset * tensor.element_size()


def extent(tensor):
    """The bytes from the first element of a tensor to its last one, gaps included."""
    if tensor.numel() == 0:
        return b""
    steps = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride()))
    begin = element_bytes(tensor, tensor.storage_offset())
    raw = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return raw[begin : begin + element_bytes(tensor, steps + 1)].numpy().tobytes()


class Comparison:
    SHARED = (list, dict, set, tuple, bytearray, torch.Tensor)

    def __init__(self):
        self.twins = {}
        self.storages = {}
        self.kept_alive = []  # so that no id is given twice
        self.pending = []

    def run(self, ours, theirs):
        self.pending.append(("", ours, theirs))
        while self.pending:
            path, a, b = self.pending.pop()
            if self.is_new(path, a, b):
                self.compare(path, a, b)

    def expect(self, path, what, ours, theirs):
        if ours != theirs or type(ours) is not type(theirs):
            raise Difference(f"{path or 'top'}: {what}: {str(ours)[:200]} is not {str(theirs)[:200]}")

    def is_new(self, path, a, b):
        """Whether the pair is to be compared; what is one object in one is one in the other."""
        if not isinstance(a, self.SHARED) or (isinstance(a, tuple) and len(a) == 0):
            return True
        self.kept_alive += [a, b]
        for key, twin in [(("ours", id(a)), id(b)), (("theirs", id(b)), id(a))]:
            if self.twins.setdefault(key, twin) != twin:
                raise Difference(f"{path}: is shared in one of both only")
        pair = (id(a), id(b))
        seen = pair in self.twins
        self.twins[pair] = True
        return not seen

    def compare(self, path, a, b):
        self.expect(path, "type", type(a), type(b))
        if isinstance(a, torch.Tensor):
            self.compare_tensors(path, a, b)
        elif isinstance(a, dict):
            self.compare_mappings(path, a, b)
        elif isinstance(a, (list, tuple)):
            self.compare_sequences(path, a, b)
        elif isinstance(a, (float, complex)):
            parts = [(v.real, v.imag) if isinstance(v, complex) else (v, 0.0) for v in (a, b)]
            self.expect(path, "bits", *[b"".join(map(bits, part)) for part in parts])
        elif isinstance(a, torch.SymInt):
            self.compare_ragged(path, a, b)
        elif isinstance(a, (set, frozenset)):
            self.expect(path, "set", a, b)
        elif is_plain(a):
            self.expect(path, "value", a, b)
        else:
            self.compare_reduced(path, a, b)

    def compare_sequences(self, path, a, b):
        self.expect(path, "length", len(a), len(b))
        self.pending += [(f"{path}.{i}", *pair) for i, pair in enumerate(zip(a, b))]

    def compare_mappings(self, path, a, b):
        self.expect(path, "number of keys", len(a), len(b))
        for (ours, mine), (theirs, other) in zip(a.items(), b.items()):
            self.pending.append((f"{path}, key {ours}", ours, theirs))
            self.pending.append((f"{path}.{ours}", mine, other))
        if isinstance(a, collections.defaultdict):
            self.expect(path, "factory", a.default_factory, b.default_factory)
        if hasattr(a, "__dict__"):
            self.pending.append((f"{path}.__dict__", vars(a), vars(b)))

    def compare_reduced(self, path, a, b):
        """Any other object by how a pickle would make it."""
        ours, theirs = a.__reduce_ex__(2), b.__reduce_ex__(2)
        if isinstance(ours, str) or not isinstance(ours, tuple):
            return self.expect(path, "name", ours, theirs)
        for part, mine, other in zip(["function", "arguments", "state"], ours, theirs):
            self.pending.append((f"{path}.{part}", mine, other))

    def compare_tensors(self, path, a, b):
        self.expect(path, "requires_grad", a.requires_grad, b.requires_grad)
        self.pending.append((f"{path}.__dict__", vars(a), vars(b)))
        if isinstance(a, torch.nn.parameter.UninitializedTensorMixin):
            return
        if is_wrapper(a):
            return self.compare_wrappers(path, a, b)
        for what in ["dtype", "shape", "layout", "device", "is_leaf", "is_quantized", "is_nested"]:
            if what != "shape" or not a.is_nested:
                self.expect(path, what, getattr(a, what), getattr(b, what))
        parts = parts_of(a)
        if parts:
            self.expect(path, "coalesced", *[t.is_sparse and t.is_coalesced() for t in (a, b)])
            self.pending += [(f"{path}.{i}", x, y) for i, (x, y) in enumerate(zip(parts, parts_of(b)))]
        else:
            self.compare_slots(path, a, b)
            self.compare_strided(path, a, b)

    def compare_ragged(self, path, a, b):
        """A size of nested tensors: of those that have one list of offsets it is the same."""
        (ours, mine), (theirs, other) = [(n.node.nested_int(), n.node.nested_int_coeff()) for n in (a, b)]
        self.expect(path, "coefficient", mine, other)
        for key, twin in [(("our size", ours), theirs), (("their size", theirs), ours)]:
            self.expect(path, "ragged size", self.twins.setdefault(key, twin), twin)

    def compare_wrappers(self, path, a, b):
        """Tensors of a subclass that have no storage: what they wrap is among their attributes."""
        for what in ["dtype", "layout", "device", "is_leaf"]:
            self.expect(path, what, getattr(a, what), getattr(b, what))
        self.pending.append((f"{path}.shape", tuple(a.shape), tuple(b.shape)))
        self.pending.append((f"{path}.stride", tuple(a.stride()), tuple(b.stride())))
        self.expect(path, "offset", a.storage_offset(), b.storage_offset())
        self.compare_slots(path, a, b)

    def compare_slots(self, path, a, b):
        slots = [name for kind in type(a).__mro__ for name in getattr(kind, "__slots__", ())]
        for name in slots:
            self.expect(f"{path}.{name}", "slot", hasattr(a, name), hasattr(b, name))
            self.pending.append((f"{path}.{name}", getattr(a, name, None), getattr(b, name, None)))

    def compare_strided(self, path, a, b):
        self.expect(path, "strides", a.stride(), b.stride())
        if a.is_meta:
            return
        self.expect(path, "conj", a.is_conj(), b.is_conj())
        self.expect(path, "neg", a.is_neg(), b.is_neg())
        if a.is_quantized:
            self.pending.append((f"{path}.quantizer", quantizer_of(a), quantizer_of(b)))
        self.expect(path, "bytes", extent(a), extent(b))
        self.compare_storages(path, a, b)

    def compare_storages(self, path, a, b):
        """The same tensors share, at the same distances. A storage may begin elsewhere."""
        ours, theirs = a.untyped_storage(), b.untyped_storage()
        if ours.nbytes() == 0 or theirs.nbytes() == 0 or a.numel() == 0:
            return
        shift = element_bytes(a, a.storage_offset()) - element_bytes(b, b.storage_offset())
        for key, twin in [(("ours", ours._cdata), theirs._cdata), (("theirs", theirs._cdata), ours._cdata)]:
            self.expect(path, "storage", *[self.storages.setdefault(key, (twin, shift)), (twin, shift)])


def is_wrapper(tensor):
    return torch.utils._python_dispatch.is_traceable_wrapper_subclass(tensor)


def is_plain(value):
    kinds = (type(None), bool, int, str, bytes, bytearray, type, torch.dtype, torch.device)
    return isinstance(value, kinds) or callable(value)


def quantizer_of(tensor):
    if tensor.qscheme() == torch.per_tensor_affine:
        return [tensor.q_scale(), tensor.q_zero_point()]
    scales, zero_points = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
    return [scales.tolist(), zero_points.tolist(), str(scales.dtype), tensor.q_per_channel_axis()]


def parts_of(tensor):
    """The tensors of which one that is not strided is made."""
    if tensor.is_nested:
        kept = [tensor._nested_tensor_size(), tensor._nested_tensor_strides()]
        return [tensor.values(), *kept, tensor._nested_tensor_storage_offsets()]
    if tensor.layout == torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return []
