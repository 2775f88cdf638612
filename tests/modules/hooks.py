# SPDX-License-Identifier: Apache-2.0
"""The repertoire of hooks and overridden methods. hook_repertoire.cpp has the same in C++, by the same names."""

import torch

# Of state_dict, of load_state_dict, and methods that a class overrides (at most one of each kind).
SAVE = ["sd_pre", "sd_post_rename", "sd_post_drop", "sd_post_add", "sd_post_note", "sd_post_version", "sd_post_strip"]
LOAD_PRE = [
    "load_pre_rename", "load_pre_rename_all", "load_pre_drop", "load_pre_add", "load_pre_value", "load_pre_error",
    "load_pre_missing", "load_pre_unexpected", "load_pre_outside", "load_pre_upgrade", "load_pre_forget",
]  # fmt: skip
LOAD_POST = ["load_post_forget", "load_post_unexpected", "load_post_clear"]
SAVE_STEP = ["save_skip", "save_drop", "save_add"]
LOAD_STEP = [
    "load_skip", "load_super", "load_strip", "load_super_then_drop", "load_super_then_add", "load_error_then_super",
    "load_super_then_forget",
]  # fmt: skip
EXTRA = ["extra"]
REPERTOIRE = SAVE + LOAD_PRE + LOAD_POST + SAVE_STEP + LOAD_STEP + EXTRA


def choose(rng, module, names):
    """Some for one module: [name, arguments ...]."""
    chosen = []
    own = [name for name, *_ in module["parameters"] + module["buffers"] + module["children"]] or ["a"]
    for hook in rng.choices(SAVE + LOAD_PRE * 2 + LOAD_POST * 2, k=rng.choice([0, 0, 1, 1, 2])):
        chosen.append([hook] + arguments(rng, hook, own, names))
    if module["kind"] != "Net":
        return chosen
    for kinds, likelihood in ((SAVE_STEP, 0.08), (LOAD_STEP, 0.2), (EXTRA, 0.2)):
        if rng.random() < likelihood:
            hook = rng.choice(kinds)
            chosen.append([hook] + arguments(rng, hook, own, names))
    return chosen


def arguments(rng, hook, own, names):
    mine, other = rng.choice(own), rng.choice(names)
    if hook == "extra":
        get = rng.choice([None, "int", "str", "tensor", "calls"])
        return [get, rng.choice(["ok", "ok", "raise"] + ([None] if get else []))]
    if hook in ("load_pre_rename", "load_pre_rename_all", "sd_post_rename"):
        return rng.choice([[mine, other], [other, mine]])
    if hook == "load_pre_upgrade":
        return [rng.choice([1, 2, 3]), other, mine]
    if hook == "sd_post_version":
        return [rng.choice([1, 2, 5])]
    if hook.endswith(("error", "missing", "unexpected", "error_then_super")):
        return [rng.choice(["what a hook says", "hooked", 'quoted "key"'])]
    if hook in ("sd_pre", "load_pre_forget", "load_post_clear", "save_skip", "load_skip", "load_super", "load_super_then_forget"):
        return []
    return [rng.choice([mine, mine, other])]


def renamed(state_dict, old, new):
    if old in state_dict:
        state_dict[new] = state_dict.pop(old)


def rename_all(state_dict, old, new):
    for key in [key for key in state_dict if key.startswith(old)]:
        renamed(state_dict, key, new + key[len(old) :])


def some_tensor():
    return torch.tensor([1.0, 2.0])


def register(module, described, log):
    module.calls = 0
    for hook, *arguments in described:
        if hook.startswith("sd_pre"):
            module.register_state_dict_pre_hook(sd_pre(log))
        elif hook.startswith("sd_post"):
            module.register_state_dict_post_hook(sd_post(hook, arguments, log))
        elif hook.startswith("load_pre"):
            module.register_load_state_dict_pre_hook(load_pre(hook, arguments, log))
        elif hook.startswith("load_post"):
            module.register_load_state_dict_post_hook(load_post(hook, arguments, log))


def sd_pre(log):
    def run(module, prefix, keep_vars):
        module.calls += 1
        log.append(f"sd_pre@{prefix} {int(keep_vars)}")

    return run


def sd_post(hook, arguments, log):
    def run(module, state_dict, prefix, metadata):
        log.append(f"{hook}@{prefix} {len(state_dict)}")
        if hook == "sd_post_rename":
            renamed(state_dict, prefix + arguments[0], prefix + arguments[1])
        elif hook == "sd_post_drop":
            state_dict.pop(prefix + arguments[0], None)
        elif hook == "sd_post_add":
            state_dict[prefix + arguments[0]] = some_tensor()
        elif hook == "sd_post_note":
            metadata[arguments[0]] = 7
        elif hook == "sd_post_version":
            metadata["version"] = arguments[0]
        elif hook == "sd_post_strip":
            rename_all(state_dict, prefix + arguments[0] + ".", prefix)

    return run


def load_pre(hook, arguments, log):
    def run(module, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        version = metadata.get("version")
        log.append(f"{hook}@{prefix} {len(state_dict)} {version}")
        keys = [prefix + str(argument) for argument in arguments]
        if hook == "load_pre_rename":
            renamed(state_dict, *keys)
        elif hook == "load_pre_rename_all":
            rename_all(state_dict, keys[0] + ".", keys[1] + ".")
        elif hook == "load_pre_drop":
            state_dict.pop(keys[0], None)
        elif hook == "load_pre_add":
            state_dict[keys[0]] = some_tensor()
        elif hook == "load_pre_value":
            state_dict[keys[0]] = 3
        elif hook == "load_pre_error":
            errors.append(arguments[0])
        elif hook == "load_pre_missing":
            missing.append(arguments[0])
        elif hook == "load_pre_unexpected":
            unexpected.append(arguments[0])
        elif hook == "load_pre_outside":
            state_dict["outside." + arguments[0]] = some_tensor()
        elif hook == "load_pre_upgrade":
            if version is None or version < arguments[0]:
                renamed(state_dict, keys[1], keys[2])
        elif hook == "load_pre_forget":
            unexpected.clear()

    return run


def load_post(hook, arguments, log):
    def run(module, keys):
        log.append(f"{hook} {len(keys.missing_keys)} {len(keys.unexpected_keys)}")
        if hook == "load_post_forget":
            keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(arguments[0])]
        elif hook == "load_post_unexpected":
            keys.unexpected_keys.append(arguments[0])
        elif hook == "load_post_clear":
            keys.missing_keys.clear()
            keys.unexpected_keys.clear()

    return run


class Refusal(Exception):
    """What set_extra_state raises."""


def refuse(message):
    raise Refusal(message)


def class_of(described, log, refuse):
    members = {"_version": described["version"]}
    for hook, *arguments in described["hooks"]:
        if hook == "extra":
            add_extra(members, *arguments, log, refuse)
        elif hook in SAVE_STEP:
            members["_save_to_state_dict"] = save_step(hook, arguments, log)
        elif hook in LOAD_STEP:
            members["_load_from_state_dict"] = load_step(hook, arguments, log)
    return type(described["class"], (torch.nn.Module,), members)


def said(state):
    if isinstance(state, torch.Tensor):
        return "tensor"
    return type(state).__name__ + (f" {state}" if type(state) in (int, str) else "")


def add_extra(members, get, set_, log, refuse):
    def get_extra_state(self):
        values = {"int": 42, "str": "text", "calls": self.calls}
        return some_tensor() if get == "tensor" else values[get]

    def set_extra_state(self, state):
        log.append("set_extra_state " + said(state))
        if set_ == "raise":
            refuse("it does not fit")

    if get is not None:
        members["get_extra_state"] = get_extra_state
    if set_ is not None:
        members["set_extra_state"] = set_extra_state


def save_step(hook, arguments, log):
    def run(self, destination, prefix, keep_vars):
        log.append(f"{hook}@{prefix} {int(keep_vars)}")
        if hook == "save_add":
            destination[prefix + arguments[0]] = 5
        if hook != "save_skip":
            torch.nn.Module._save_to_state_dict(self, destination, prefix, keep_vars)
        if hook == "save_drop":
            destination.pop(prefix + arguments[0], None)

    return run


def load_step(hook, arguments, log):
    def run(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        log.append(f"{hook}@{prefix} {len(state_dict)} {metadata.get('version')}")
        if hook == "load_strip":
            rename_all(state_dict, prefix + arguments[0] + ".", prefix)
        elif hook == "load_error_then_super":
            errors.append(arguments[0])
        if hook != "load_skip":
            rest = (metadata, strict, missing, unexpected, errors)
            torch.nn.Module._load_from_state_dict(self, state_dict, prefix, *rest)
        if hook == "load_super_then_drop":
            for key in [key for key in state_dict if key.startswith(prefix + arguments[0] + ".")]:
                del state_dict[key]
        elif hook == "load_super_then_add":
            state_dict[prefix + arguments[0] + ".added"] = some_tensor()
        elif hook == "load_super_then_forget":
            missing.clear()

    return run
