# SPDX-License-Identifier: Apache-2.0
"""What may have happened to a state dict between the module that it is from and the one that loads it. Each edit
changes the dict and tells whether it could."""

import collections

import torch

from memory import DTYPES, SIZES, is_whole

NO_TENSORS = [3, -1, 2.5, True, "text", None, [1, 2], [], {"x": 1}, {}]


class Editor:
    def __init__(self, tree, built, memory, rng):
        self.tree = tree
        self.memory = memory
        self.rng = rng
        self.state_dict = built.root.state_dict()
        self.paths = [name + "." if name else "" for name, _ in built.root.named_modules(remove_duplicate=False)]
        self.owner = built
        self.edits = []

    def run(self):
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 4])):
            edit = self.rng.choice(list(EDITS))
            if EDITS[edit](self):
                self.edits.append(edit)
        if not self.edits:
            self.edits.append("none")

    # Places and keys.

    def key(self, fits=lambda value: True):
        keys = [key for key, value in self.state_dict.items() if fits(value)]
        return self.rng.choice(keys) if keys else None

    def tensor_key(self, fits=lambda tensor: True):
        return self.key(lambda value: isinstance(value, torch.Tensor) and fits(value))

    def strange_name(self):
        """A name that no slot has, but that comes near to some."""
        rng, path = self.rng, self.rng.choice(self.paths)
        names = [name for name, _ in self.owner.root.named_parameters()] or ["a"]
        nones = [name for name, child in self.tree.modules[0]["children"] if child is None] or ["none"]
        near = [path + name for name in ("strange", "weight.extra", "a.b.c", "x.", rng.choice("ab01"), "fc", "_extra_state")]
        return rng.choice(near + [path.rstrip(".") or "x", nones[0] + ".foo", nones[0], rng.choice(names) + ".x.y"])

    def slot_at(self, key):
        path, _, name = key.rpartition(".")
        return getattr(dict(self.owner.root.named_modules(remove_duplicate=False)).get(path), name, None)

    def some_tensor(self, shape):
        dtype = DTYPES[self.rng.choice(self.tree.dtypes)]
        return torch.tensor([self.rng.randrange(100) for _ in range(torch.Size(shape).numel())]).to(dtype).reshape(shape)

    def rebuild(self, items):
        metadata = getattr(self.state_dict, "_metadata", None)
        self.state_dict = collections.OrderedDict(items)
        if metadata is not None:
            self.state_dict._metadata = metadata


def on_tensor(change, fits=lambda tensor: True):
    """An edit of one tensor, which `change` makes another of."""

    def edit(editor):
        key = editor.tensor_key(fits)
        if key is None:
            return False
        editor.state_dict[key] = change(editor, editor.state_dict[key])
        return True

    return edit


def drop(editor):
    key = editor.key()
    return key is not None and (editor.state_dict.pop(key), True)[1]


def add(editor):
    items = list(editor.state_dict.items())
    name = editor.strange_name()
    if name in editor.state_dict:
        return False
    items.insert(editor.rng.randrange(len(items) + 1), (name, editor.some_tensor([2])))
    editor.rebuild(items)
    return True


def rename(editor):
    key, name = editor.key(), editor.strange_name()
    if key is None or name in editor.state_dict:
        return False
    editor.rebuild((name if known == key else known, value) for known, value in editor.state_dict.items())
    return True


def shuffle(editor):
    items = list(editor.state_dict.items())
    editor.rng.shuffle(items)
    editor.rebuild(items)
    return len(items) > 1


def swap(editor):
    first, second = editor.key(), editor.key()
    if first == second:
        return False
    values = editor.state_dict
    values[first], values[second] = values[second], values[first]
    return True


def reshape(editor, tensor):
    shapes = [s for s in ([], [1], [2], [1, 1], [3, 1], [2, 2], [4]) if s != list(tensor.shape)]
    return editor.some_tensor(editor.rng.choice(shapes)).to(tensor.dtype)


def retype(editor, tensor):
    return tensor.to(DTYPES[editor.rng.choice([name for name in editor.tree.dtypes if DTYPES[name] != tensor.dtype])])


def retype_view(editor, tensor):
    """The same bytes; not integers as floats, which no integer need be able to be (memory.py)."""
    names = [name for name in editor.tree.dtypes if editor.tree.is_wild or is_whole(name)]
    names = [n for n in names if SIZES[n] == tensor.dtype.itemsize and DTYPES[n] != tensor.dtype and n != "bool"]
    return tensor.view(DTYPES[editor.rng.choice(names)]) if names else tensor.clone()


def slice_of_bigger(editor, tensor):
    bigger = torch.stack([tensor, tensor, tensor], dim=editor.rng.choice([0, tensor.dim()]))
    return bigger[1] if bigger.shape[0] == 3 and bigger.shape[1:] == tensor.shape else bigger[..., 1]


def turned(editor, tensor):
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


def expanded(editor, tensor):
    return tensor.reshape(-1)[:1].reshape([1] * tensor.dim()).expand(tensor.shape)


def negated(editor, tensor):
    return torch._neg_view(tensor.float() if tensor.dtype.itemsize == 1 else tensor)


def wrong_type(editor):
    key = editor.key()
    if key is not None:
        editor.state_dict[key] = editor.rng.choice(NO_TENSORS)
    return key is not None


def tie(editor):
    first, second = editor.tensor_key(), editor.tensor_key()
    if first == second:
        return False
    editor.state_dict[second] = editor.state_dict[first]
    return True


def view_of_another(editor):
    """One key's tensor becomes a part of another's."""
    first = editor.tensor_key(lambda tensor: tensor.numel() > 1 and not tensor.is_meta)
    second = first and editor.tensor_key(lambda tensor: 0 < tensor.numel() < editor.state_dict[first].numel())
    if not second:
        return False
    values, shape = editor.state_dict, editor.state_dict[second].shape
    flat = values[first].reshape(-1)
    values[second] = flat[flat.numel() - shape.numel() :].reshape(shape)
    return True


def target_itself(editor):
    """The very memory that the state dict is loaded into: a slot's own, another's, a part of it, or turned."""
    tensors = [editor.memory.make(slot["target"]).detach() for slot in editor.tree.slots]
    key = editor.tensor_key()
    fitting = [t for t in tensors if key and t.shape == editor.state_dict[key].shape and not t.is_meta]
    if not fitting:
        return False
    own = [number for number, slot in enumerate(editor.owner.slots) if slot is editor.slot_at(key)]
    tensor = tensors[own[0]] if own and editor.rng.random() < 0.5 else editor.rng.choice(fitting)
    if tensor.is_meta:
        return False
    changes = [lambda t: t, lambda t: t, lambda t: t.conj()]
    if tensor.dim() == 2 and tensor.shape[0] == tensor.shape[1]:
        changes += [lambda t: t.t()] * 4
    editor.state_dict[key] = editor.rng.choice(changes)(tensor)
    return True


def prefixed(editor):
    prefix = editor.rng.choice(["module.", "model.", "a.", "x"])
    editor.rebuild((prefix + key, value) for key, value in editor.state_dict.items())
    return bool(editor.state_dict)


def unprefixed(editor):
    path = editor.rng.choice(editor.paths)
    before = list(editor.state_dict)
    torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(editor.state_dict, path)
    return before != list(editor.state_dict)


def scalar_as_one(editor, tensor):
    return tensor.reshape(1)


def scalar_as_two(editor, tensor):
    return torch.stack([tensor, tensor])


def version(editor):
    metadata = getattr(editor.state_dict, "_metadata", None)
    if not metadata:
        return False
    editor.state_dict._metadata[editor.rng.choice(list(metadata))]["version"] = editor.rng.choice([0, 1, 2, 9])
    return True


def lose_version(editor):
    metadata = getattr(editor.state_dict, "_metadata", None)
    if not metadata:
        return False
    del metadata[editor.rng.choice(list(metadata))]
    return True


def lose_metadata(editor):
    had = hasattr(editor.state_dict, "_metadata")
    editor.state_dict = collections.OrderedDict(editor.state_dict)
    return had


def old_batch_norm(editor):
    """As version 1 wrote it, or one of them."""
    keys = [key for key in editor.state_dict if key.endswith("num_batches_tracked")]
    keys = editor.rng.choice([keys, keys[:1], keys[-1:]])
    for key in keys:
        del editor.state_dict[key]
        metadata = getattr(editor.state_dict, "_metadata", {})
        metadata.get(key.rpartition(".")[0], {})["version"] = 1
    return bool(keys)


def old_weight_norm(editor):
    """As torch.nn.utils.weight_norm named it."""
    path = ".weight.original"
    names = {key: key.replace("parametrizations.weight.original0", "weight_g") for key in editor.state_dict}
    names = {key: name.replace("parametrizations.weight.original1", "weight_v") for key, name in names.items()}
    editor.rebuild((names[key], value) for key, value in editor.state_dict.items())
    return any(path in key and path not in name for key, name in names.items())


def parameter(editor, tensor):
    return torch.nn.Parameter(tensor, requires_grad=tensor.is_floating_point() and editor.rng.random() < 0.5)


def meta(editor, tensor):
    return tensor.to("meta")


def extra_state(editor):
    """Another in place of one, or one that nobody wants, behind another such key."""
    keys = [key for key in editor.state_dict if key.endswith("_extra_state")]
    if keys and editor.rng.random() < 0.5:
        editor.state_dict[editor.rng.choice(keys)] = editor.rng.choice([1, "other", editor.some_tensor([1]), None])
        return True
    path = editor.rng.choice(editor.paths)
    if editor.rng.random() < 0.5:
        editor.state_dict[path + "strange"] = editor.some_tensor([1])
    editor.state_dict[path + "_extra_state"] = editor.rng.choice([1, editor.some_tensor([2])])
    return True


def has_elements(tensor):
    return tensor.numel() > 0


EDITS = {
    "drop": drop,
    "add": add,
    "rename": rename,
    "shuffle": shuffle,
    "swap": swap,
    "reshape": on_tensor(reshape),
    "retype": on_tensor(retype, lambda t: not (t.is_conj() or t.is_neg())),
    "retype_view": on_tensor(retype_view, lambda t: t.dim() > 0 and t.dtype != torch.bool and not (t.is_conj() or t.is_neg() or t.is_meta)),
    "slice_of_bigger": on_tensor(slice_of_bigger, has_elements),
    "turned": on_tensor(turned, lambda t: t.dim() > 1),
    "expanded": on_tensor(expanded, has_elements),
    "conjugated": on_tensor(lambda editor, t: t.conj(), lambda t: t.is_complex()),
    "negated": on_tensor(negated, lambda t: (t.dtype.is_floating_point or t.dtype == torch.bool) and not t.is_neg()),
    "wrong_type": wrong_type,
    "tie": tie,
    "view_of_another": view_of_another,
    "target_itself": target_itself,
    "untie": on_tensor(lambda editor, t: t.clone()),
    "prefixed": prefixed,
    "unprefixed": unprefixed,
    "scalar_as_one": on_tensor(scalar_as_one, lambda t: t.dim() == 0),
    "scalar_as_two": on_tensor(scalar_as_two, lambda t: t.dim() == 0),
    "version": version,
    "lose_version": lose_version,
    "lose_metadata": lose_metadata,
    "old_batch_norm": old_batch_norm,
    "old_weight_norm": old_weight_norm,
    "parameter": on_tensor(parameter, lambda t: not t.is_conj() and not t.is_neg()),
    "meta": on_tensor(meta),
    "extra_state": extra_state,
}
NAMES = ["none", *EDITS]
