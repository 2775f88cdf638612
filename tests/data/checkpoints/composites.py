"""Writes a checkpoint of tensors that are made of several: quantized, sparse, nested. Beside it, what
PyTorch sees in each of them when it has loaded it again. Called by make.py."""

import ctypes
import io
import json

import torch
from torch import nn

CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def numbers(*shape, dtype=torch.float32):
    return torch.arange(1, 1 + torch.Size(shape).numel()).to(dtype).reshape(shape)


def matrix():
    return torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0]])


# ---- quantized

SCALES, ZEROS = torch.tensor([0.5, 0.25, 2.0]), torch.tensor([1, 2, 3])


def per_tensor(dtype):
    return torch.quantize_per_tensor(numbers(3, 4), 0.5, 3, dtype)


def per_channel(dtype, scales=SCALES.double(), zeros=ZEROS, axis=0):
    return torch.quantize_per_channel(numbers(3, 4), scales, zeros, axis, dtype)


for name in ("qint8", "quint8", "qint32", "quint4x2"):
    CASES[f"{name}_per_tensor"] = lambda dtype=getattr(torch, name): per_tensor(dtype)
for name in ("qint8", "quint8", "qint32"):
    CASES[f"{name}_per_channel"] = lambda dtype=getattr(torch, name): per_channel(dtype)
for name in ("qint8", "quint8", "quint4x2", "quint2x4"):
    CASES[f"{name}_float"] = lambda dtype=getattr(torch, name): per_channel(dtype, SCALES, ZEROS.float())


@case
def last_axis():
    return per_channel(torch.qint8, torch.ones(4).double() / 8, torch.tensor([0, 1, 2, 3]), axis=1)


@case
def odd_rows():
    """Rows of an odd number of half bytes: they follow each other without a gap."""
    # PyTorch leaves the last byte of the storage as it finds it.
    tensor = torch.quantize_per_channel(numbers(3, 5), SCALES, ZEROS.float(), 0, torch.quint4x2)
    storage = tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage().untyped()
    storage[8] = 0
    return tensor


@case
def transposed():
    return per_tensor(torch.qint8).t()


@case
def row():
    return per_tensor(torch.qint8)[1]


@case
def quantized_parameter():
    return nn.Parameter(per_tensor(torch.quint8), requires_grad=False)


@case
def quantized_with_attribute():
    tensor = per_tensor(torch.qint8)
    tensor.tag = "fused"
    return tensor


# ---- sparse


@case
def coo():
    return matrix().to_sparse()


@case
def coo_not_coalesced():
    return torch.sparse_coo_tensor([[0, 0, 2], [1, 1, 0]], [1.0, 2.0, 3.0], (3, 2))


@case
def coo_hybrid():
    return torch.sparse_coo_tensor([[0, 2]], numbers(2, 5, dtype=torch.float64), (4, 5))


@case
def coo_empty():
    return torch.sparse_coo_tensor(torch.empty(2, 0, dtype=torch.int64), torch.empty(0), (2, 3))


@case
def coo_parameter():
    return nn.Parameter(matrix().to_sparse())


@case
def csr():
    return matrix().to_sparse_csr()


@case
def csr_int32():
    begins, columns = torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([1, 0], dtype=torch.int32)
    return torch.sparse_csr_tensor(begins, columns, torch.tensor([1, 2], dtype=torch.int16), (2, 2))


@case
def csr_with_gradient():
    return matrix().to_sparse_csr().requires_grad_()


@case
def csc():
    return matrix().to_sparse_csc()


@case
def bsr():
    return matrix().to_sparse_bsr((3, 2))


@case
def bsc():
    return matrix().to_sparse_bsc((3, 2))


@case
def csr_batch():
    return torch.stack([matrix(), matrix()]).to_sparse_csr()


# ---- nested


@case
def nested():
    return torch.nested.nested_tensor([numbers(2, 2), numbers(3, 2)])


@case
def nested_parameter():
    return nn.Parameter(torch.nested.nested_tensor([numbers(1, 2), numbers(2, 2)]))


# ---- what PyTorch sees

COMPRESSED = {
    "sparse_csr": ("crow_indices", "col_indices"),
    "sparse_bsr": ("crow_indices", "col_indices"),
    "sparse_csc": ("ccol_indices", "row_indices"),
    "sparse_bsc": ("ccol_indices", "row_indices"),
}


def facts(tensor):
    """(kind, reals, integers, parts)"""
    if tensor.is_quantized:
        return quantized_facts(tensor)
    if tensor.is_nested:
        sizes = (tensor._nested_tensor_size(), tensor._nested_tensor_strides())
        parts = (nested_buffer(tensor),) + sizes + (tensor._nested_tensor_storage_offsets(),)
        return "nested", [], [], dict(zip(("values", "sizes", "strides", "offsets"), parts))
    if tensor.layout == torch.sparse_coo:
        parts = {"indices": tensor._indices(), "values": tensor._values()}
        return "sparse_coo", [], [int(tensor.is_coalesced())], parts
    kind = str(tensor.layout)[len("torch.") :]
    parts = {role: getattr(tensor, role)() for role in COMPRESSED[kind]}
    return kind, [], [], {**parts, "values": tensor.values()}


def nested_buffer(tensor):
    return tensor.values() if torch.__version__ >= "2" else tensor.contiguous()


def quantized_facts(tensor):
    if tensor.qscheme() == torch.per_tensor_affine:
        return "quantized_per_tensor", [tensor.q_scale()], [tensor.q_zero_point()], {"values": tensor}
    is_float = tensor.qscheme() == torch.per_channel_affine_float_qparams
    parts = {"values": tensor}
    parts["scales"] = tensor.q_per_channel_scales()
    parts["zero_points"] = tensor.q_per_channel_zero_points()
    kind = "quantized_per_channel_float" if is_float else "quantized_per_channel"
    return kind, [], [tensor.q_per_channel_axis()], parts


def describe(name, tensor):
    kind, reals, integers, parts = facts(tensor)
    return {
        "name": name,
        "kind": kind,
        "dtype": str(tensor.dtype)[len("torch.") :],
        "shape": [len(tensor.unbind())] if tensor.is_nested else list(tensor.shape),
        "requires_grad": tensor.requires_grad,
        "parameter": isinstance(tensor, nn.Parameter),
        "reals": reals,
        "integers": integers,
        "parts": [describe_part(role, part.detach()) for role, part in parts.items()],
        "attributes": dict(vars(tensor)) if type(tensor) is torch.Tensor else {},
    }


def describe_part(role, part):
    storage = part.untyped_storage() if hasattr(part, "untyped_storage") else part.storage().untyped()
    size = part.element_size()
    begin = part.storage_offset() * size
    last = 1 + sum((length - 1) * stride for length, stride in zip(part.shape, part.stride()))
    last = -(-last * bits(part.dtype) // 8) if part.numel() else 0
    return {
        "role": role,
        "dtype": str(part.dtype)[len("torch.") :],
        "shape": list(part.shape),
        "strides": list(part.stride()),
        # From the first byte that the part refers to to the last.
        "bytes": ctypes.string_at(storage.data_ptr() + begin, last).hex(),
    }


def bits(dtype):
    packed = {torch.quint4x2: 4, torch.quint2x4: 2}
    return packed.get(dtype, 8 * torch.empty(0, dtype=torch.uint8).element_size() * size_of(dtype))


def size_of(dtype):
    return {torch.qint8: 1, torch.quint8: 1, torch.qint32: 4}.get(dtype) or torch.empty(0, dtype=dtype).element_size()


# ---- writing


def can_be_saved(name, make):
    try:
        file = io.BytesIO()
        torch.save(make(), file)
        file.seek(0)
        describe(name, torch.load(file))
        return True
    except Exception as error:
        print(f"not made by {torch.__version__}: composite {name}: {str(error).splitlines()[0]}")
        return False


class Buffers(nn.Module):
    def __init__(self, names):
        super().__init__()
        for name in names:
            self.register_buffer(name, CASES[name]())


def write_script(folder, version):
    """The same by torch.jit.save, which writes other arguments; no others than these."""
    names = ["coo", "coo_not_coalesced", "coo_hybrid", "csr", "quint8_per_tensor", "qint8_per_channel", "quint8_float"]
    path = folder / "script-{}.{}.pt".format(*version)
    torch.jit.save(torch.jit.script(Buffers(names)), path)
    write_descriptions(path, torch.jit.load(path).state_dict().items())


def write(folder, version):
    made = {name: make() for name, make in CASES.items() if can_be_saved(name, make)}
    made["again"] = made["coo"]
    # Also a tensor of its own, and the name that one of its parts would have.
    made["csr.values"] = made["csr"].values()
    folder.mkdir(exist_ok=True)
    path = folder / "torch-{}.{}.pt".format(*version)
    torch.save(made, path)
    write_descriptions(path, [item for item in torch.load(path).items() if item[0] != "csr.values"])
    if version >= (2, 0):
        write_script(folder, version)


def write_descriptions(path, items):
    described = [describe(name, value) for name, value in items]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in described)
    path.with_name(path.stem + ".parts.json").write_text("[\n" + lines + "\n]\n")
