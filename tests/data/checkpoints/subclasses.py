# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints of tensors of subclasses, and beside each what PyTorch sees in it when it has
loaded it again: `*.parts.json`, as those of composites.py. Run by hand:

    python subclasses.py           with torch 2.13.0; torchao 0.18.0 for torchao.pt
"""

import json
import pathlib
import sys
import types

import torch
from torch import nn

from composites import describe_part, numbers


class Tagged(torch.Tensor):
    """Adds nothing but attributes to a tensor."""


class Slotted(torch.Tensor):
    """Some of its attributes are in slots: its state is a tuple."""

    __slots__ = ["unit"]


class Listed(torch.Tensor):
    """Its state is what it likes."""

    def __getstate__(self):
        return [{"scale": self.scale}, self.unit]

    def __setstate__(self, state):
        self.scale, self.unit = state[0]["scale"], state[1]


def stand_in_for_torchao():
    """Where there is no torchao: a class that its pickles make as they make its own."""
    try:
        import torchao.quantization  # noqa: F401
    except ImportError:
        module = types.ModuleType("torchao.quantization")
        module.Int8Tensor = type("Int8Tensor", (Wrapper,), {"__module__": module.__name__})
        sys.modules["torchao"], sys.modules[module.__name__] = types.ModuleType("torchao"), module
        torch.serialization.add_safe_globals([module.Int8Tensor])


class Wrapper(torch.Tensor):
    """Wraps what its attributes hold."""

    def __tensor_flatten__(self):
        return [name for name, value in vars(self).items() if torch.is_tensor(value)], None

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        if function is torch.ops.aten.detach.default:
            return arguments[0]
        raise NotImplementedError(function)


def tagged(values, **attributes):
    made = values.as_subclass(Tagged)
    vars(made).update(attributes)
    return made


def make_subclasses():
    from torch.testing._internal.two_tensor import TwoTensor

    base = numbers(2, 4)
    slotted = numbers(3).as_subclass(Slotted)
    slotted.unit, slotted.note = "m", (1, None)
    listed = numbers(2).as_subclass(Listed)
    listed.scale, listed.unit = numbers(1), "s"
    noted = TwoTensor(numbers(3), numbers(3) * 2)
    noted.note = {"why": [1, 2.5]}
    inner = TwoTensor(numbers(2), numbers(2) + 1)
    return {
        "bare": tagged(numbers(3)),
        "tagged": tagged(base.t(), tag="x", other=base[1]),
        "with_gradient": tagged(numbers(2)).requires_grad_(),
        "parameter": nn.Parameter(tagged(numbers(2), tag=2)),
        "slotted": slotted,
        "listed": listed,
        "meta": tagged(torch.empty(2, device="meta")),
        "two": TwoTensor(base, base + 1),
        "two.a": base[:1],
        "noted": noted,
        "again": noted,
        "two_parameter": nn.Parameter(TwoTensor(numbers(2), numbers(2))),
        "nested": TwoTensor(inner, TwoTensor(numbers(2), numbers(2))),
        "plain": base,
    }


def make_dtensor():
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("dp",))
    made = {
        "weight": distribute_tensor(numbers(2, 3), mesh, [Shard(0)]),
        "bias": nn.Parameter(distribute_tensor(numbers(2), mesh, [Replicate()])),
    }
    mesh._hash = None  # of this process alone, and made again where it is missing
    return made


def make_torchao():
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    quantize_(model, Int8WeightOnlyConfig())
    return model.state_dict()


def make_jagged():
    """PyTorch's own: nested tensors of jagged layout. Those of the same offsets go together."""
    jagged = torch.nested.nested_tensor_from_jagged
    offsets = torch.tensor([0, 2, 5])
    noted = jagged(numbers(5, 2), offsets)
    noted.note = {"why": [1, 2.5]}
    rows = [numbers(1, 2), numbers(2, 2)]
    return {
        "noted": noted,
        "again": noted,
        "half": jagged(numbers(5, 3).half(), offsets),
        "lengths": jagged(numbers(5, 2), offsets, torch.tensor([1, 2])),
        "bounded": jagged(numbers(5), offsets, min_seqlen=2, max_seqlen=3),
        "transposed": jagged(numbers(5, 2), offsets).transpose(1, 2),
        "empty": jagged(numbers(0, 2), torch.tensor([0])),
        "listed": torch.nested.nested_tensor(rows, layout=torch.jagged, requires_grad=True),
        "parameter": nn.Parameter(jagged(numbers(5, 2), torch.tensor([0, 5]))),
        "plain": offsets,
    }


CASES = {
    "subclasses": make_subclasses,
    "dtensor": make_dtensor,
    "torchao": make_torchao,
    "jagged": make_jagged,
}


# ---- what PyTorch sees


def describe(name, tensor):
    is_wrapper = torch.utils._python_dispatch.is_traceable_wrapper_subclass(tensor)
    parts = {} if is_wrapper else {"values": tensor}
    parts |= dict(tensors_of_state(tensor))
    shape, integers = list(tensor.shape), []
    if tensor.layout == torch.jagged:
        shape, integers = shape[:1], [tensor._ragged_idx]
    elif is_wrapper:
        integers = [*tensor.stride(), tensor.storage_offset()]
    return {
        "name": name,
        "kind": "wrapper_subclass",
        "class": f"{type(tensor).__module__}.{type(tensor).__qualname__}",
        "dtype": str(tensor.dtype)[len("torch.") :],
        "shape": shape,
        "requires_grad": tensor.requires_grad,
        "parameter": isinstance(tensor, nn.Parameter),
        "reals": [],
        "integers": integers,
        "parts": [describe_role(role, part) for role, part in parts.items()],
        "attributes": {},
    }


def describe_role(role, part):
    plain = part.detach().as_subclass(torch.Tensor)
    if plain.is_meta:
        return {"role": role, "dtype": str(part.dtype)[len("torch.") :], "shape": list(part.shape),
                "strides": list(part.stride()), "bytes": ""}
    return describe_part(role, plain)


def tensors_of_state(tensor, path=""):
    state = torch._utils._get_obj_state(tensor)
    # A tuple of two dicts adds nothing to the paths.
    for part in state if isinstance(state, tuple) else [state]:
        yield from tensors_of(part, path)


def tensors_of(value, path):
    if torch.is_tensor(value) and type(value) in (torch.Tensor, nn.Parameter):
        yield path, value
    elif torch.is_tensor(value):
        yield from tensors_of_state(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of(item, join(path, str(key)))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from tensors_of(item, join(path, str(i)))
    elif hasattr(value, "__dict__") and not isinstance(value, (type, torch.SymInt)):
        yield from tensors_of(value.__reduce_ex__(2)[2] or {}, path)


def join(path, name):
    return f"{path}.{name}" if path else name


def write(folder, name):
    path = folder / f"{name}.pt"
    torch.save(CASES[name](), path)
    loaded = torch.load(path, weights_only=False)
    described = [describe(key, value) for key, value in loaded.items() if type(value) is not torch.Tensor]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in described)
    path.with_suffix(".parts.json").write_text("[\n" + lines + "\n]\n")


def main():
    import subclasses  # the classes are not to be called __main__'s

    folder = pathlib.Path(__file__).parent / "subclasses"
    folder.mkdir(exist_ok=True)
    for name in CASES:
        try:
            subclasses.write(folder, name)
        except ImportError as error:
            print(f"not made: {name}: {error}")


if __name__ == "__main__":
    main()
