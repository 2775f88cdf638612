# SPDX-License-Identifier: Apache-2.0
"""Random module trees and state dicts, and what real PyTorch makes of them: make_cases.py SEED COUNT [KEEP] > cases

Needs PyTorch 2.13. README.md has what a case is. KEEP: of the cases only so many, the first ones that have what is
rare. What they cover goes to stderr; it is an error when an edit, a hook or a difference is not among them."""

import collections
import json
import random
import sys
import warnings

import torch

import differences
import edits
import hooks
from memory import Facts, Memory
from outcomes import Load
from trees import Built, Tree

NAMINGS = [(prefix, recurse, once) for prefix in ("", "p", "q.r") for recurse in (True, False) for once in (True, False)]


def names_of(root, naming):
    prefix, recurse, once = naming
    options = {"prefix": prefix, "recurse": recurse, "remove_duplicate": once}
    modules = [n for n, _ in root.named_modules(prefix=prefix, remove_duplicate=once)] if recurse else [prefix]
    parameters = [name for name, _ in root.named_parameters(**options)]
    return [list(naming), parameters, [name for name, _ in root.named_buffers(**options)], modules]


def taken_extra_states(root):
    for path, module in root.named_modules(remove_duplicate=False):
        if type(module).set_extra_state is not torch.nn.Module.set_extra_state:
            yield path + "." * bool(path) + "_extra_state"


def described_item(value, memory):
    return memory.describe(value) if isinstance(value, torch.Tensor) else ["value", value]


def described(state_dict, memory):
    items = [[key, described_item(value, memory)] for key, value in state_dict.items()]
    metadata = getattr(state_dict, "_metadata", None)
    return items, None if metadata is None else [[path, dict(module)] for path, module in metadata.items()]


class Case:
    def __init__(self, rng):
        self.rng = rng
        self.facts = Facts()
        self.tree = Tree(rng, self.facts)
        self.strict = rng.random() < 0.6
        self.differences = set()
        source, memory = self.source()
        self.names = [names_of(source.root, naming) for naming in rng.sample(NAMINGS, 2)]
        self.children = [name for name, _ in source.root.named_children()]
        self.extra_states = set(taken_extra_states(source.root))
        self.edit(source, memory)
        # From here on what a case says is fixed: storages that are made now stem from hooks.
        self.facts.given = len(self.facts.storages)
        self.saves = self.record_saves()
        self.outcomes = {}
        self.overruled = set()  # of which only what PyTorch did is told
        for mode, ours in (("copy", "load"), ("assign", "bind")):
            self.record_loads(mode, ours)
        for mode in self.overruled:
            for key in ("log", "matched", "mismatched"):
                self.outcomes[mode].pop(key, None)

    def source(self):
        memory = Memory(self.facts)
        return Built(self.tree, [memory.make(slot["source"]) for slot in self.tree.slots]), memory

    def edit(self, source, memory):
        editor = edits.Editor(self.tree, source, memory, self.rng)
        editor.run()
        self.edits = editor.edits
        self.entries, self.metadata = described(editor.state_dict, memory)
        prefix = self.rng.choice(editor.paths + ["module.", "model.", "a."])
        torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(editor.state_dict, prefix)
        consumed = described(editor.state_dict, memory)
        self.consumed = [prefix, *(consumed if consumed != (self.entries, self.metadata) else ())]

    def make_state_dict(self, entries, memory):
        make = lambda item: item[1] if isinstance(item, list) else memory.make(item)
        state_dict = collections.OrderedDict((key, make(item)) for key, item in entries)
        if self.metadata is not None:
            state_dict._metadata = collections.OrderedDict((path, dict(module)) for path, module in self.metadata)
        return state_dict

    def record_saves(self):
        source, memory = self.source()
        saves = []
        prefix = self.rng.choice(["", "model.", "p"])
        for options in ({"prefix": "", "keep_vars": False}, {"prefix": prefix, "keep_vars": self.rng.random() < 0.6}):
            before = None
            destination = self.destination(memory, prefix) if saves and self.rng.random() < 0.5 else None
            if destination is not None:
                before = described(destination, memory)
            state_dict = source.root.state_dict(destination=destination, **options)
            items, metadata = described(state_dict, memory)
            saves.append({**options, "before": before, "items": items, "metadata": metadata, "log": list(source.log)})
            source.log.clear()
        return saves

    def destination(self, memory, prefix):
        """One that has entries already, perhaps under the tree's own names."""
        own = self.tree.modules[0]["parameters"] or [["a"]]
        some = memory.make(self.tree.slots[0]["source"]) if self.tree.slots else 1
        destination = collections.OrderedDict([("here.before", some), (prefix + own[0][0], 3)])
        destination._metadata = collections.OrderedDict([("here", {"version": 4, "note": 7}), ("", {"version": 8})])
        return destination

    def record_loads(self, mode, ours):
        plain = Load(self, mode, ours=False, entries=self.entries)
        self.outcomes[mode] = plain.run()
        self.record_ours(ours, mode, plain, self.entries, fallback=mode)
        of_file = [[key, item] for key, item in self.entries if not isinstance(item, list) or key in self.extra_states]
        if len(of_file) < len(self.entries) and "target_itself" not in self.edits:
            self.record_ours(ours + "_file", mode, plain, of_file, fallback=ours if ours in self.outcomes else mode)
            if ours + "_file" in self.outcomes:
                self.outcomes[ours + "_file"]["differences"].append("tensors_only")
                self.differences.add("tensors_only")

    def record_ours(self, route, mode, plain, entries, fallback):
        load = Load(self, mode, ours=True, entries=entries)
        outcome = load.run()
        found = load.differences | plain.differences
        if "missing" not in self.outcomes[mode]:
            found.discard("tie_kept")  # PyTorch did not come as far
        self.differences |= found
        known = {key: value for key, value in self.outcomes[fallback].items() if key != "differences"}
        if "missing" in known and outcome["after"] != known["after"]:
            found |= {"overlap"} if load.watch.copies_own else set()
            found |= {"negated"} if load.watch.negates else set()
            self.differences |= found
        if outcome != known or "nothing" in outcome:
            assert found - differences.SILENT or "nothing" in outcome or entries is not self.entries, (known, outcome)
            self.outcomes[route] = {**outcome, "differences": sorted(found)}
            if entries is self.entries:
                self.overruled.add(mode)
        else:
            self.outcomes[fallback].setdefault("differences", sorted(found))

    def as_json(self):
        return {
            "edits": self.edits,
            "storages": [content.hex() for content in self.facts.storages],
            "given": self.facts.given,
            "tensors": self.facts.tensors,
            **self.tree.as_json(),
            "names": self.names,
            "children": self.children,
            "saves": self.saves,
            "entries": self.entries,
            "metadata": self.metadata,
            "consumed": self.consumed,
            "strict": self.strict,
            # What lies in the module's own memory lies apart once it is saved.
            "memory_only": "target_itself" in self.edits,
            "outcomes": self.outcomes,
        }


class Coverage:
    EVERY = {"edit": edits.NAMES, "hook": hooks.REPERTOIRE, "difference": differences.NAMES}

    def __init__(self):
        self.counts = {kind: collections.Counter() for kind in self.EVERY}

    @staticmethod
    def of(case):
        hooked = {hook[0] for module in case.tree.modules for hook in module["hooks"]}
        return {"edit": set(case.edits), "hook": hooked, "difference": case.differences}

    def add(self, case):
        for kind, names in self.of(case).items():
            self.counts[kind].update(names)

    def is_rare(self, case, enough):
        return any(self.counts[kind][name] < enough for kind, names in self.of(case).items() for name in names)

    def tell(self):
        for kind, names in self.EVERY.items():
            print(f"cases by {kind}:", ", ".join(f"{name} {self.counts[kind][name]}" for name in names), file=sys.stderr)

    def check(self):
        for kind, names in self.EVERY.items():
            absent = [name for name in names if not self.counts[kind][name]]
            assert not absent, f"no case has the {kind} {absent}"


def text_of(case):
    return json.dumps(case.as_json(), ensure_ascii=False, separators=(",", ":"))


def cases(seed, count, keep, coverage):
    """All, or `keep` small ones: such as have what fewer than four before have, then any."""
    rng = random.Random(seed)
    kept = 0
    for number in range(count):
        case = Case(rng)
        text = text_of(case)
        must = keep - kept >= count - number
        if must or (len(text) < 8000 and coverage.is_rare(case, enough=4)):
            coverage.add(case)
            kept += 1
            yield text
        if kept == keep:
            return


def main():
    assert torch.__version__.startswith("2.13."), torch.__version__
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Casting complex values to real")
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    keep = int(sys.argv[3]) if len(sys.argv) > 3 else count
    coverage = Coverage()
    separator = "[\n"
    for text in cases(seed, count, keep, coverage):
        print(separator + text, end="")
        separator = ",\n"
    print("\n]")
    coverage.tell()
    coverage.check()


main()
