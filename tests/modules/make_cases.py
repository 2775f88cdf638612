# SPDX-License-Identifier: Apache-2.0
"""Random module trees and state dicts, and what real PyTorch says of them: make_cases.py SEED COUNT > cases.json

Needs PyTorch 2.13. Each case is a tree (slots with shapes, ties, none, buffers that are not persistent,
modules under several names), the names that named_parameters and its like give, a state dict after some
edits, and the outcome of load_state_dict(assign=True): missing and unexpected keys, or the error's text.
"""

import json
import random
import sys

import torch

NAMES = ["a", "b", "fc", "weight", "bias", "0", "1", "10", "head", "layer_norm", "ü", "with space"]
SHAPES = [[], [1], [2], [3], [2, 3], [3, 2], [1, 1], [4, 1, 2]]


class Net(torch.nn.Module):
    pass


class Tree:
    """A description that both this script and the replay build a module from."""

    def __init__(self, rng):
        self.rng = rng
        self.shapes = []  # by slot
        self.modules = []  # parents after none of their children that are reused: no loops
        self.grow(depth=0)

    def name(self, taken):
        free = [name for name in NAMES if name not in taken]
        name = self.rng.choice(free)
        taken.add(name)
        return name

    def slot(self, is_parameter):
        if self.rng.random() < 0.12:
            return None
        same_kind = [slot for slot, (_, kind) in enumerate(self.shapes) if kind == is_parameter]
        if same_kind and self.rng.random() < 0.15:
            return self.rng.choice(same_kind)
        self.shapes.append((self.rng.choice(SHAPES), is_parameter))
        return len(self.shapes) - 1

    def child(self, depth):
        if self.rng.random() < 0.1:
            return None
        finished = [number for number, module in enumerate(self.modules) if module["done"]]
        if finished and self.rng.random() < 0.15:
            return self.rng.choice(finished)
        return self.grow(depth + 1)

    def grow(self, depth):
        number = len(self.modules)
        module = {"parameters": [], "buffers": [], "children": [], "done": False}
        self.modules.append(module)
        taken = set()
        for _ in range(self.rng.randrange(4)):
            module["parameters"].append([self.name(taken), self.slot(True)])
        for _ in range(self.rng.randrange(3)):
            persistent = self.rng.random() < 0.7
            module["buffers"].append([self.name(taken), self.slot(False), persistent])
        for _ in range(self.rng.randrange(4 - depth) if depth < 4 else 0):
            name = self.name(taken)
            module["children"].append([name, self.child(depth)])
        module["done"] = True
        return number

    def build(self):
        slots = [
            torch.nn.Parameter(torch.zeros(shape)) if is_parameter else torch.zeros(shape)
            for shape, is_parameter in self.shapes
        ]
        built = [Net() for _ in self.modules]
        pick = lambda all_of_them, number: None if number is None else all_of_them[number]
        for module, described in zip(built, self.modules):
            for name, slot in described["parameters"]:
                module.register_parameter(name, pick(slots, slot))
            for name, slot, persistent in described["buffers"]:
                module.register_buffer(name, pick(slots, slot), persistent)
            for name, child in described["children"]:
                module.register_module(name, pick(built, child))
        return built[0]

    def as_json(self):
        modules = [{k: v for k, v in module.items() if k != "done"} for module in self.modules]
        return {"shapes": [shape for shape, _ in self.shapes], "modules": modules}


def strange_names(tree, rng):
    """Names that no slot has, but that come near to some."""
    root = tree.build()
    paths = [name + "." if name else "" for name, _ in root.named_modules(remove_duplicate=False)]
    path = rng.choice(paths)
    described = tree.modules[0]
    nones = [name for name, child in described["children"] if child is None]
    return rng.choice(
        [path + "strange", path + rng.choice(NAMES), path + "weight.extra", path + "a.b.c", path.rstrip(".") or "x"]
        + [none + ".foo" for none in nones]
        + [path + "x."]
        + [name + ".x.y" for name, _ in root.named_parameters()]
    )


def edited(tree, rng):
    entries = [[name, tensor] for name, tensor in tree.build().state_dict().items()]
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        edit = rng.choice(["drop", "add", "rename", "reshape", "shuffle"])
        if edit == "add":
            entries.insert(rng.randrange(len(entries) + 1), [strange_names(tree, rng), torch.zeros(2)])
        elif edit == "shuffle":
            rng.shuffle(entries)
        elif entries and edit == "drop":
            entries.pop(rng.randrange(len(entries)))
        elif entries and edit == "rename":
            rng.choice(entries)[0] = strange_names(tree, rng)
        elif entries and edit == "reshape":
            entry = rng.choice(entries)
            # Not a 0-dim tensor as one of one element: that fits.
            shapes = [shape for shape in SHAPES if shape != list(entry[1].shape)]
            entry[1] = torch.zeros(rng.choice(shapes))
    unique = {}
    for name, tensor in entries:
        unique.setdefault(name, tensor)
    return unique


def breaks_a_tie(tree, entries):
    """A slot that has two names and two different tensors: refused by a bind, not by PyTorch."""
    seen = {}
    root = tree.build()
    slots = list(root.named_parameters(remove_duplicate=False)) + list(root.named_buffers(remove_duplicate=False))
    for name, slot in slots:
        if name in entries:
            tensor = entries[name]
            if seen.setdefault(id(slot), tensor) is not tensor:
                first = seen[id(slot)]
                if first.data_ptr() != tensor.data_ptr() or first.shape != tensor.shape:
                    return True
    return False


def outcome(tree, entries, strict, assign):
    try:
        result = tree.build().load_state_dict(dict(entries), strict=strict, assign=assign)
    except RuntimeError as error:
        return {"error": str(error)}
    return {"missing": result.missing_keys, "unexpected": result.unexpected_keys}


def names_of(root):
    names = {}
    for prefix, recurse, once in [("", True, True), ("p", True, True), ("", False, True), ("q.r", True, False)]:
        options = {"prefix": prefix, "recurse": recurse, "remove_duplicate": once}
        modules = [n for n, _ in root.named_modules(prefix=prefix, remove_duplicate=once)] if recurse else [prefix]
        names[json.dumps([prefix, recurse, once])] = [
            [name for name, _ in root.named_parameters(**options)],
            [name for name, _ in root.named_buffers(**options)],
            modules,
        ]
    return names


def storages(entries):
    numbers = {}
    return [
        [name, list(tensor.shape), numbers.setdefault(tensor.untyped_storage().data_ptr(), len(numbers))]
        for name, tensor in entries.items()
    ]


def case(rng):
    while True:
        tree = Tree(rng)
        entries = edited(tree, rng)
        if not breaks_a_tie(tree, entries):
            break
    strict = rng.random() < 0.6
    found = outcome(tree, entries, strict, assign=True)
    assert found == outcome(tree, entries, strict, assign=False)
    root = tree.build()
    return {
        **tree.as_json(),
        "names": names_of(root),
        "children_once": [name for name, _ in root.named_children()],
        "entries": storages(entries),
        "strict": strict,
        "outcome": found,
    }


def main():
    assert torch.__version__.startswith("2.13."), torch.__version__
    rng = random.Random(int(sys.argv[1]))
    print("[")
    for number in range(int(sys.argv[2])):
        text = json.dumps(case(rng), ensure_ascii=False, separators=(",", ":"))
        print(text, end="\n" if number + 1 == int(sys.argv[2]) else ",\n")
    print("]")


main()
