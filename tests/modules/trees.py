# SPDX-License-Identifier: Apache-2.0
"""Random module trees: a description that both this script and the replay build modules from."""

import torch

import hooks
from memory import POOLS, SIZES, Memory, contiguous, count, is_whole

NAMES = ["a", "b", "fc", "weight", "bias", "0", "1", "10", "head", "norm", "ü", "a b"]
SHAPES = [[], [], [1], [2], [3], [2, 2], [2, 3], [3, 2], [1, 1], [2, 1, 2], [0], [2, 0]]
CLASSES = ["Net", "Block", "Head"]
FLOATS = ["float32", "float32", "float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"]
OTHERS = ["int64", "int32", "int16", "uint8", "bool"]
LISTED = ["float32", "float64"]  # of parameters in ParameterList and ParameterDict

# What torch.nn.utils.parametrizations.weight_norm registers, whatever the module.
WEIGHT_NORM_HOOK = next(
    iter(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(1, 1))._load_state_dict_pre_hooks.values())
).hook


class Tree:
    def __init__(self, rng, facts):
        self.rng = rng
        self.facts = facts
        self.is_wild = rng.random() < 0.3
        self.dtypes = FLOATS + ["bool"] if self.is_wild else FLOATS + OTHERS
        self.has_meta = rng.random() < 0.08
        self.has_hooks = rng.random() < 0.55
        self.slots = []
        self.modules = []
        self.done = []
        self.grow(0)

    # Slots.

    def bytes_of(self, dtype, size):
        pool = POOLS["wild" if self.is_wild else "tame"][dtype]
        return b"".join(self.rng.choice(pool) for _ in range(size))

    def place(self, dtype, shape, layout):
        """A new storage with room for the shape in a layout, twice: the state dict's and the target's."""
        size = count(shape)
        strides = contiguous(shape)
        before = after = 0
        if layout == "turned" and len(shape) >= 2:
            strides = contiguous(shape[::-1])[::-1]
        elif layout == "inside":
            before, after = self.rng.randrange(4), self.rng.randrange(3)
        elif layout == "gaps" and shape:
            strides = [stride * 2 for stride in strides]
            size *= 2
        total = before + size + after
        places = []
        for _ in range(2):
            storage = self.facts.add_storage(self.bytes_of(dtype, total))
            places.append([storage, before * SIZES[dtype], shape, strides])
        return places

    def beside(self, dtype, shape):
        """A view of what another slot is a view of, or nothing."""
        for slot in self.rng.sample(self.slots, min(3, len(self.slots))):
            tensors = [self.facts.tensors[slot[which]] for which in ("source", "target")]
            room = min(len(self.facts.storages[tensor[0]]) if tensor[0] is not None else 0 for tensor in tensors)
            last = room // SIZES[dtype] - count(shape)
            if tensors[0][2] == dtype and last >= 0 and count(shape) > 0:
                offset = self.rng.randrange(last + 1) * SIZES[dtype]
                return [[tensor[0], offset, shape, contiguous(shape)] for tensor in tensors]
        return None

    def new_slot(self, is_parameter, dtype=None, shape=None, wants=None):
        rng = self.rng
        dtype = dtype or rng.choice(self.dtypes)
        shape = rng.choice(SHAPES) if shape is None else shape
        layout = rng.choice(["plain"] * 6 + ["turned", "inside", "gaps"])
        places = self.beside(dtype, shape) if rng.random() < 0.06 else None
        places = places or self.place(dtype, shape, layout)
        can_learn = is_parameter and not is_whole(dtype) and dtype != "bool"
        is_listed = wants is not None  # where a C++ parameter always learns
        flags = ("p" if is_parameter else "") + ("r" if can_learn and (is_listed or rng.random() < 0.8) else "")
        source, target = [self.facts.add_tensor(s, o, dtype, sh, st, flags) for s, o, sh, st in places]
        if self.has_meta and rng.random() < 0.4:
            target = self.facts.add_tensor(None, 0, dtype, shape, contiguous(shape), flags + "m")
        wants = wants or rng.choice(["any"] * 5 + ["dtype", "contiguous", "contiguous"])
        self.slots.append({"source": source, "target": target, "wants": wants})
        return len(self.slots) - 1

    def slot(self, is_parameter):
        if self.rng.random() < 0.1:
            return None
        if self.rng.random() < 0.15:
            kind = [i for i, s in enumerate(self.slots) if ("p" in self.facts.tensors[s["source"]][5]) == is_parameter]
            if kind:
                return self.rng.choice(kind)
        return self.new_slot(is_parameter)

    # Modules.

    def name(self, taken):
        name = self.rng.choice([name for name in NAMES if name not in taken])
        taken.add(name)
        return name

    def add(self, kind, class_name=None, version=1):
        module = {"kind": kind, "class": class_name or kind, "version": version}
        module.update(parameters=[], buffers=[], children=[], hooks=[])
        self.modules.append(module)
        return len(self.modules) - 1, module

    def child(self, depth):
        if self.rng.random() < 0.08:
            return None
        if self.done and self.rng.random() < 0.12:
            return self.rng.choice(self.done)
        return self.new_child(depth)

    def new_child(self, depth):
        makers = [self.grow] * 8 + [self.norm, self.weight_norm, self.parameter_list, self.parameter_dict]
        makers += [self.container] * 3 if depth < 3 else []
        return self.rng.choice(makers)(depth + 1)

    def grow(self, depth):
        rng = self.rng
        version = rng.choice([1, 1, 1, 2, 3])
        number, module = self.add("Net", rng.choice(CLASSES), version)
        taken = set()
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            module["parameters"].append([self.name(taken), self.slot(True)])
        for _ in range(rng.choice([0, 0, 1, 2])):
            module["buffers"].append([self.name(taken), self.slot(False), rng.random() < 0.75])
        for _ in range(rng.randrange(4 - depth) if depth < 4 else 0):
            name = self.name(taken)
            module["children"].append([name, self.child(depth)])
            if self.is_norm(module["children"][-1][1]) and rng.random() < 0.3:
                module["children"].append([self.name(taken), module["children"][-1][1]])
        return self.finish(number)

    def is_norm(self, number):
        return number is not None and self.modules[number]["kind"] == "BatchNorm1d"

    def finish(self, number):
        module = self.modules[number]
        if self.has_hooks:
            module["hooks"] = hooks.choose(self.rng, module, NAMES)
        self.done.append(number)
        return number

    def container(self, depth):
        number, module = self.add(self.rng.choice(["ModuleList", "Sequential", "ModuleDict"]))
        taken = set()
        for i in range(self.rng.randrange(3)):
            name = self.name(taken) if module["kind"] == "ModuleDict" else str(i)
            module["children"].append([name, self.new_child(depth)])
        return self.finish(number)

    def parameter_list(self, _):
        return self.listed("ParameterList", lambda taken: str(len(taken)))

    def parameter_dict(self, _):
        return self.listed("ParameterDict", self.name)

    def listed(self, kind, name_of):
        number, module = self.add(kind)
        dtype = self.rng.choice(LISTED)
        module["dtype"] = dtype
        taken = set()
        for _ in range(self.rng.randrange(3)):
            name = name_of(taken)
            taken.add(name)
            shape = self.rng.choice([s for s in SHAPES if len(s) < 3])
            module["parameters"].append([name, self.new_slot(True, dtype, shape, "contiguous")])
        return self.finish(number)

    def norm(self, _):
        number, module = self.add("BatchNorm1d", version=2)
        size = self.rng.randrange(1, 4)
        is_affine, is_tracking = self.rng.random() < 0.8, self.rng.random() < 0.8
        new = lambda is_parameter, *how: self.new_slot(is_parameter, *how) if is_used else None
        is_used = is_affine
        module["parameters"] = [[name, new(True, "float32", [size])] for name in ("weight", "bias")]
        is_used = is_tracking
        module["buffers"] = [[name, new(False, "float32", [size]), True] for name in ("running_mean", "running_var")]
        module["buffers"].append(["num_batches_tracked", new(False, "int64", []), True])
        return self.finish(number)

    def weight_norm(self, _):
        """Named as torch.nn.utils.parametrizations.weight_norm(Linear) is, with its hook."""
        number, module = self.add("weight_norm", "ParametrizedLinear")
        module["parameters"] = [["bias", self.new_slot(True)]]
        holder, holders = self.add("ModuleDict")
        original, originals = self.add("Net", "ParametrizationList")
        norm, _ = self.add("Net", "_WeightNorm")
        module["children"] = [["parametrizations", holder]]
        holders["children"] = [["weight", original]]
        originals["parameters"] = [["original0", self.new_slot(True)], ["original1", self.new_slot(True)]]
        originals["children"] = [["0", norm]]
        return self.finish(number)

    def as_json(self):
        return {"slots": [[s["source"], s["target"], s["wants"]] for s in self.slots], "modules": self.modules}


def pick(every, number):
    return None if number is None else every[number]


class Built:
    """The modules of a tree over one memory. `log`: what hooks and overridden methods noted."""

    def __init__(self, tree, slots, refuse=hooks.refuse):
        self.tree = tree
        self.slots = slots
        self.log = []
        self.refuse = refuse
        self.modules = [self.make(module) for module in tree.modules]
        for module, described in zip(self.modules, tree.modules):
            self.fill(module, described)
        self.root = self.modules[0]

    def make(self, described):
        kind = described["kind"]
        if kind == "BatchNorm1d":
            is_affine = described["parameters"][0][1] is not None
            is_tracking = described["buffers"][0][1] is not None
            return torch.nn.BatchNorm1d(1, affine=is_affine, track_running_stats=is_tracking)
        if kind in ("Net", "weight_norm"):
            return hooks.class_of(described, self.log, self.refuse)()
        return getattr(torch.nn, kind)()

    def fill(self, module, described):
        kind = described["kind"]
        for name, slot in described["parameters"]:
            if kind == "ParameterList":
                module.append(self.slots[slot])
            elif kind == "ParameterDict":
                module[name] = self.slots[slot]
            elif name in module._parameters:
                module._parameters[name] = pick(self.slots, slot)
            else:
                module.register_parameter(name, pick(self.slots, slot))
        for name, slot, persistent in described["buffers"]:
            if name in module._buffers:
                module._buffers[name] = pick(self.slots, slot)
            else:
                module.register_buffer(name, pick(self.slots, slot), persistent)
        for name, child in described["children"]:
            module.register_module(name, pick(self.modules, child))
        if kind == "weight_norm":
            module._register_load_state_dict_pre_hook(WEIGHT_NORM_HOOK)
        hooks.register(module, described["hooks"], self.log)

    def named_slots(self):
        """Every slot under each of its modules' names: (module, name, slot's number)."""
        for module, described in zip(self.modules, self.tree.modules):
            for name, slot, *_ in described["parameters"] + described["buffers"]:
                if slot is not None:
                    yield module, name, slot
