# SPDX-License-Identifier: Apache-2.0
"""A state dict of a weight file, saved again, is what convert makes of torch.save(state_dict).

Usage: save_test.py WEIGHTMAP DATA RESAVE
"""

import collections
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from need_torch import need

need()

import torch  # noqa: E402
import torch.distributed.tensor  # noqa: E402  (DTensor is known once it is imported)

WEIGHTMAP, DATA, RESAVE = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
sys.path.append(str(DATA / "checkpoints"))

import generated  # noqa: E402
import make  # noqa: E402
import state_dicts  # noqa: E402
import subclasses  # noqa: E402
from compare_objects import compare  # noqa: E402


# Python's attributes of tensors are no part of a state dict.
WITH_ATTRIBUTES = {"attributes", "attributes_with_tensors", "parameters_of_all_kinds"}
OBJECTS = make.CASES | generated.CASES


def run(program, *words):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True)


def load(path):
    return torch.load(path, weights_only=False, map_location="cpu")


class Flat:
    """A state dict of all that an object has under names, with `_metadata` of its state dicts."""

    def __init__(self, value):
        self.items, self.metadata, self.alone = collections.OrderedDict(), collections.OrderedDict(), {}
        if torch.is_tensor(value):
            value = {"tensor": value}
        if is_container(value):
            self.enter("", value)
        if self.metadata:
            self.items._metadata = self.metadata

    def enter(self, path, container):
        for module, entry in getattr(container, "_metadata", {}).items():
            self.metadata.setdefault(joined(path, module), self.by_itself(entry))
        pairs = container.items() if isinstance(container, dict) else enumerate(container)
        for key, item in pairs:
            if isinstance(key, str) or type(key) is int and -(2**63) <= key < 2**63:
                self.take(joined(path, str(key)), item)

    def take(self, path, value):
        if is_container(value) and holds_tensors(value) and path.split(".")[-1] != "_extra_state":
            self.enter(path, value)
        else:
            self.items.setdefault(path, self.by_itself(value))

    def by_itself(self, value):
        """A value shares nothing with others, but for its tensors: it is one under several keys at most."""
        if id(value) not in self.alone:
            self.alone[id(value)] = value if holds_tensors(value) else copy.deepcopy(value)
        return self.alone[id(value)]


def joined(*steps):
    return ".".join(step for step in steps if step)


def is_container(value):
    return isinstance(value, (dict, list, tuple))


def holds_tensors(value):
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return torch.is_tensor(value)
    return any(map(holds_tensors, value))


class Save(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.source, self.saved = self.folder / "source.pt", self.folder / "saved.wmap"

    def succeed(self, program, *words):
        done = run(program, *words)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def converted(self, value):
        torch.save(value, self.source)
        self.succeed(WEIGHTMAP, "convert", self.source, self.folder / "converted.wmap", "--no-sync")
        return self.folder / "converted.wmap"

    def bytes_converted(self, value):
        return self.converted(value).read_bytes()

    def bytes_saved(self, weight_file, prefix=""):
        self.succeed(RESAVE, weight_file, self.saved, prefix)
        self.succeed(WEIGHTMAP, "verify", self.saved)
        return self.saved.read_bytes()

    def exported(self):
        """What was saved last, as PyTorch sees it, and the keys that are left out of a pickle."""
        exported = self.folder / "exported.pt"
        options = ["--force", "--no-sync", "--drop-opaque", "--json"]
        report = json.loads(self.succeed(WEIGHTMAP, "export", self.saved, exported, *options))
        return load(exported), [line.split(": ")[0] for line in report["dropped"]]

    def test_a_state_dict_is_saved_byte_for_byte(self):
        for name, case in state_dicts.CASES.items():
            with self.subTest(case=name):
                converted = self.converted(case())
                self.assertEqual(self.bytes_saved(converted), converted.read_bytes())
                compare(self.exported(), (load(self.source), []))

    def test_tensors_of_subclasses_are_saved_byte_for_byte(self):
        subclasses.stand_in_for_torchao()
        for name in ["subclasses", "dtensor", "torchao", "jagged"]:
            with self.subTest(source=name):
                state_dict = collections.OrderedDict(load(DATA / f"checkpoints/subclasses/{name}.pt"))
                state_dict.pop("plain", None)  # the very tensor that another one wraps
                converted = self.converted(state_dict)
                self.assertEqual(self.bytes_saved(converted), converted.read_bytes())
                compare(self.exported(), (load(self.source), []))

    def test_a_part_of_a_checkpoint_is_saved_as_if_it_were_the_whole(self):
        for name, case in state_dicts.CASES.items():
            with self.subTest(case=name):
                alone = self.bytes_converted(case())
                state_dict = load(self.source)
                beside = {"epoch": 1, "model.": "a key", "other": torch.ones(3)}
                whole = self.converted({**beside, "model": {"net": state_dict}})
                self.assertEqual(self.bytes_saved(whole, "model.net."), alone)

    def test_an_adopted_checkpoint_is_saved_as_a_converted_one(self):
        for name, case in state_dicts.CASES.items():
            with self.subTest(case=name):
                converted = self.bytes_converted(case())
                self.succeed(WEIGHTMAP, "adopt", self.source, self.folder / "adopted.wmap", "--force")
                self.assertEqual(self.bytes_saved(self.folder / "adopted.wmap"), converted)

    def test_any_object_is_saved_as_a_flat_state_dict(self):
        opaque = {"opaque": ["rows"], "named_things": ["function"]}
        for name, case in OBJECTS.items():
            if name in WITH_ATTRIBUTES:
                continue
            with self.subTest(case=name):
                self.bytes_saved(self.converted(case()))
                expected = Flat(load(self.source)).items
                for key in opaque.get(name, []):
                    del expected[key]
                compare(self.exported(), (expected, opaque.get(name, [])))

    def test_attributes_of_tensors_are_no_part_of_a_state_dict(self):
        parameter, tensor = torch.nn.Parameter(torch.ones(2, 2)), torch.zeros(3)
        parameter.tag, tensor.persistent = "decay", True
        self.bytes_saved(self.converted(collections.OrderedDict(parameter=parameter, tensor=tensor)))
        plain = collections.OrderedDict(parameter=torch.nn.Parameter(torch.ones(2, 2)), tensor=torch.zeros(3))
        compare(self.exported(), (plain, []))

    def test_what_was_saved_is_saved_as_it_is(self):
        for name, case in OBJECTS.items():
            with self.subTest(case=name):
                once = self.bytes_saved(self.converted(case()))
                again = self.folder / "again.wmap"
                again.write_bytes(once)
                self.assertEqual(self.bytes_saved(again), once)

    def test_a_model_loads_what_was_saved(self):
        for state in (7, {"step": 3}, torch.arange(3)):
            with self.subTest(state=state):
                self.bytes_saved(self.converted(state_dicts.Noted(state).state_dict()))
                model = state_dicts.Noted(None)
                model.weight.data.zero_()
                model.load_state_dict(self.exported()[0])
                self.assertEqual(model.weight.tolist(), [1, 2])
                compare(model.state, state)

    def refuse(self, words, message):
        before = {path.name: path.is_file() and path.read_bytes() for path in self.folder.iterdir()}
        done = run(RESAVE, *words)
        self.assertEqual((done.returncode, done.stderr), (1, f"{words[1]}: {message}\n"))
        after = {path.name: path.is_file() and path.read_bytes() for path in self.folder.iterdir()}
        self.assertEqual(after, before)

    def test_what_is_refused_leaves_nothing_behind(self):
        converted = self.converted({"fc": {"weight": torch.ones(2)}, "epoch": 3})
        (self.folder / "directory").mkdir()
        (self.folder / "notes.txt").write_text("not to be lost")
        self.refuse([converted, self.folder / "new.wmap", "fc.weight"], "R13: the name of tensor 0 (``) is empty")
        self.refuse([converted, self.folder / "directory"], "is a directory, not a regular file")
        self.refuse([converted, self.folder / "notes.txt"], "exists and is of a kind that is not known, not a weight file")
        self.refuse([converted, self.source], "exists and is a zip archive, as torch.save writes it, not a weight file")
        self.refuse([converted, self.folder / "nowhere/new.wmap"], "cannot open its directory: no such file or directory")


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
