# SPDX-License-Identifier: Apache-2.0
"""What PyTorch makes of a load, and what weightmap states where it differs on purpose (README.md).

Ours is PyTorch's own load_state_dict, too, run a second time with our refusals raised inside of it: what is said, and
in which order, is PyTorch's in both."""

import re
import warnings

import torch

import hooks
from memory import Memory
from trees import Built

PLAIN_LOAD = torch.nn.Module._load_from_state_dict
PLAIN_SETATTR = torch.nn.Module.__setattr__
PLAIN_COPY = torch.Tensor.copy_


# Errors of PyTorch's that we do not have.
PYTORCH_SAYS = {
    "requires_grad": "Only Tensors of floating point and complex dtype can require gradients",
    "overlap": "refer to a single memory location",
    "negated": "\"neg_cpu\" not implemented for",
}


# Between these PyTorch 2.13 forgets the neg bit, when both tensors are contiguous.
FORGETFUL = {torch.float16, torch.float32}


class Refused(Exception):
    """What we refuse and PyTorch does not; `text` is our message."""

    def __init__(self, difference, text):
        super().__init__(self)
        self.difference = difference
        self.text = text

    def __repr__(self):
        return f"<<{self.text}>>"


class Watch:
    """Stands in _load_from_state_dict, and counts. `ours`: refuses what a bind refuses."""

    def __init__(self, built, is_bind, ours):
        self.built = built
        self.refuses = is_bind and ours
        self.ours = ours
        self.slot_of = {id(slot): number for number, slot in enumerate(built.slots)}
        self.names = {(id(module), name): slot for module, name, slot in built.named_slots()}
        self.taken = {}  # by slot: the tensor
        self.keys = {}  # by slot: the last that took it
        self.took = set()  # slots
        self.copies_own = False
        self.negates = False
        self.matched = []
        self.mismatched = []
        self.wanted = 0
        self.differences = set()
        self.errors = None
        self.prefix = ""

    def __enter__(self):
        watch = self
        torch.nn.Module._load_from_state_dict = lambda self, *rest: watch.load(self, *rest)
        torch.nn.Module.__setattr__ = lambda self, name, value: watch.set(self, name, value)
        torch.Tensor.copy_ = lambda self, source: watch.copy(self, source)
        return self

    def __exit__(self, *_):
        torch.nn.Module._load_from_state_dict = PLAIN_LOAD
        torch.nn.Module.__setattr__ = PLAIN_SETATTR
        torch.Tensor.copy_ = PLAIN_COPY

    def load(self, module, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        self.errors, self.prefix = errors, prefix
        self.look_before_the_load(module, state_dict, prefix + "num_batches_tracked")
        first, first_missing = len(errors), len(missing)
        names = self.state_names(module)
        PLAIN_LOAD(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)
        for i in range(first, len(errors)):
            errors[i] = self.our_words(errors[i])
        self.wanted += len(names)
        absent = set(missing[first_missing:])
        for name in names:
            key = prefix + name
            said = [text for text in errors[first:] if is_about(text, key)]
            self.mismatched += said[:1]
            if not said and key not in absent:
                self.matched.append(key)
                self.took.add(self.names[id(module), name])

    def look_before_the_load(self, module, state_dict, key):
        """A batch norm under two names gives the second what the first took; in ours no slot has changed yet."""
        slot = self.names.get((id(module), "num_batches_tracked"))
        is_its_own = slot is not None and state_dict.get(key) is module.num_batches_tracked
        if not self.ours or not is_its_own or slot not in self.took:
            return
        had_none = "m" in self.built.tree.facts.tensors[self.built.tree.slots[slot]["target"]][5]
        was = self.built.slots[slot]
        if had_none or (self.refuses and not is_one(was, state_dict[key])):
            state_dict[key] = torch.tensor(0) if had_none else was
            self.differences.add("before_the_load")

    @staticmethod
    def state_names(module):
        buffers = [name for name in module._buffers if name not in module._non_persistent_buffers_set]
        return [n for n in module._parameters if module._parameters[n] is not None] + [
            n for n in buffers if module._buffers[n] is not None
        ]

    @staticmethod
    def our_words(text):
        ours = re.search(r"an exception occurred : \(<<(.*)>>,\)\.$", text, re.DOTALL)
        return ours[1] if ours else text

    def set(self, module, name, value):
        slot = self.names.get((id(module), name))
        if slot is not None and isinstance(value, torch.Tensor) and self.refuses:
            self.check(slot, self.prefix + name, value)
            value = value.detach() if name in module._buffers else value
        PLAIN_SETATTR(module, name, value)

    def copy(self, slot, source):
        """Ours copies from its own memory as if it were another's, and negates whatever has a sign."""
        if self.ours and not source.is_meta:
            is_own = source.untyped_storage()._cdata == slot.untyped_storage()._cdata
            self.copies_own = self.copies_own or is_own
            source = source.clone() if is_own else source
            if source.is_neg() and (slot.dtype.itemsize == 1 or {source.dtype, slot.dtype} == FORGETFUL):
                self.negates = True
                source = source.resolve_neg()
        return PLAIN_COPY(slot, source)

    def refuse(self, difference, text):
        self.differences.add(difference)
        raise Refused(difference, text)

    def check(self, slot, key, value):
        """What a bind asks beside the shape, in its order."""
        wants = self.built.tree.slots[slot]["wants"]
        dtype = str(value.dtype).removeprefix("torch.")
        wanted = self.built.tree.facts.tensors[self.built.tree.slots[slot]["target"]][2]
        if wants != "any" and dtype != wanted:
            self.refuse("dtype", f"dtype mismatch for {key}: the file has {dtype}, the slot wants {wanted}.")
        if value.is_meta:
            self.refuse("values", f"values mismatch for {key}: the file's tensor has no values.")
        if value.is_conj() or value.is_neg():
            self.refuse("values", f"values mismatch for {key}: the file's tensor is stored conjugated or negated.")
        if wants == "contiguous" and not value.is_contiguous():
            strides = str(list(value.stride()))
            self.refuse(
                "layout", f"layout mismatch for {key}: the file's strides are {strides}, the slot wants contiguous elements."
            )
        if not is_one(self.taken.get(slot, value), value):
            twin = self.keys[slot]
            self.refuse("tie", f"tie mismatch for {key}: it is one with {twin} in the module, but not in the file.")
        self.taken[slot], self.keys[slot] = value, key


def is_one(a, b):
    return a.dtype == b.dtype and (a.numel() == 0 or a.data_ptr() == b.data_ptr()) and a.stride() == b.stride()


def is_about(text, key):
    """Whether a message is about what a slot was to take."""
    begins = [f'While copying the parameter named "{key}", ']
    begins += [f"{what} mismatch for {key}: " for what in ("size", "dtype", "layout", "values", "tie")]
    return text.startswith(tuple(begins))


class Load:
    """One load_state_dict of a case. `mode`: "copy" or "assign". `ours`: as weightmap states it."""

    def __init__(self, case, mode, ours, entries):
        self.case = case
        self.is_bind = mode == "assign"
        self.ours = ours
        self.memory = Memory(case.facts)
        refuse = self.note_refusal if ours else hooks.refuse
        self.built = Built(case.tree, [self.slot(slot["target"]) for slot in case.tree.slots], refuse)
        self.state_dict = case.make_state_dict(entries, self.memory)
        self.watch = Watch(self.built, self.is_bind, ours)
        self.differences = self.watch.differences

    def slot(self, number):
        """In ours who does not learn refuses no integers, and a slot without bytes gets some to copy into."""
        tensor = self.memory.make(number)
        if self.ours and self.is_bind:
            tensor.requires_grad_(False)
        elif self.ours and tensor.is_meta:
            bytes_ = torch.zeros(tensor.shape, dtype=tensor.dtype)
            return torch.nn.Parameter(bytes_, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else bytes_
        return tensor

    def note_refusal(self, message):
        """A set_extra_state that raises ends PyTorch's load at once; in ours it is one error among the others."""
        self.differences.add("extra_state_error")
        self.watch.errors.append(f'While setting the extra state "{self.watch.prefix}_extra_state": {message}')

    def run(self):
        outcome = self.outcome()
        outcome["log"] = self.built.log
        if "raised" not in outcome:
            outcome["matched"] = self.watch.matched
            outcome["mismatched"] = self.watch.mismatched
        is_nothing = "missing" in outcome and not self.watch.matched and self.watch.wanted
        if self.ours and is_nothing and not self.case.strict:
            outcome["nothing"] = self.watch.wanted
            self.differences.add("nothing")
        is_unchanged = self.ours and "missing" not in outcome
        outcome["slots"] = {} if is_unchanged else self.changed_slots()
        outcome["after"] = {} if is_unchanged else self.memory.changes()
        self.note_what_pytorch_did(outcome)
        return outcome

    def outcome(self):
        try:
            with warnings.catch_warnings(), self.watch:
                warnings.simplefilter("ignore")
                found = self.built.root.load_state_dict(self.state_dict, strict=self.case.strict, assign=self.is_bind)
        except RuntimeError as error:
            return {"error": str(error)}
        except hooks.Refusal as error:
            return {"raised": str(error)}
        return {"missing": found.missing_keys, "unexpected": found.unexpected_keys}

    def note_what_pytorch_did(self, outcome):
        if self.ours:
            return
        if "missing" not in outcome and (outcome["slots"] or outcome["after"]):
            self.differences.add("half_done")
        for difference, text in PYTORCH_SAYS.items():
            if text in outcome.get("error", ""):
                self.differences.add(difference)
        if not self.is_bind and any(self.had_no_bytes(slot) for slot in self.watch.took):
            self.differences.add("slot_without_bytes")
        if any("assign_to_params_buffers" in module for module in getattr(self.state_dict, "_metadata", {}).values()):
            self.differences.add("metadata_leak")
        for module, described in zip(self.built.modules, self.case.tree.modules):
            if any(name in module._parameters for name, *_ in described["buffers"]):
                self.differences.add("buffer_becomes_parameter")

    def changed_slots(self):
        """By the number of the name: the tensor that it has now, where that is another."""
        found = {}
        for number, (module, name, slot) in enumerate(self.built.named_slots()):
            was = self.case.tree.slots[slot]["target"]
            tensor = self.tensor_now(module, name, slot)
            if self.ours and self.is_unbound(slot):
                continue
            now = self.memory.describe(tensor, with_flags=False)
            if now != self.case.facts.plain(was):
                found[str(number)] = now
        return found

    def is_unbound(self, slot):
        """Whether it had no bytes and took none."""
        return self.had_no_bytes(slot) and slot not in self.watch.took

    def had_no_bytes(self, slot):
        return "m" in self.case.facts.tensors[self.case.tree.slots[slot]["target"]][5]

    def tensor_now(self, module, name, slot):
        tensor = getattr(module, name)
        if not self.ours or slot not in self.watch.taken:
            return tensor
        kept = self.watch.taken[slot]
        if self.memory.describe(kept, with_flags=False) != self.memory.describe(tensor, with_flags=False):
            self.differences.add("tie_kept")
        return kept
