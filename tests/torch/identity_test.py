# SPDX-License-Identifier: Apache-2.0
"""What was converted and exported again is what PyTorch loads from the checkpoint itself.

Usage: identity_test.py WEIGHTMAP DATA
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

from need_torch import need

need()

import torch  # noqa: E402
import torch._dynamo  # noqa: E402  (as what nested tensors remember of their lengths)
import torch.distributed.tensor  # noqa: E402  (DTensor is known once it is imported)

WEIGHTMAP, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path.append(str(DATA / "checkpoints"))

import generated  # noqa: E402
import make  # noqa: E402
import subclasses  # noqa: E402
from compare_objects import Difference, compare  # noqa: E402


def run(*command):
    done = subprocess.run([WEIGHTMAP, *map(str, command)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def load(path, **options):
    return torch.load(path, **{"weights_only": False, "map_location": "cpu"} | options)


def loads_safely(path):
    try:
        load(path, weights_only=True)
        return True
    except Exception:
        return False


def without(value, dropped):
    """The object less what the export says that it left out: `path: what`."""
    for line in dropped:
        path, what = line.split(": ", 1)
        if what == "a tensor":
            continue
        *parents, last = path.split(".")
        parent = value
        for step in parents:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        if isinstance(parent, list):
            parent[int(last)] = None
        else:
            del parent[last]
    return value


class Identity(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.exported = self.folder / "exported.pt"

    def export(self, source):
        """Returns what was dropped."""
        weight_file = self.folder / "model.wmap"
        code, _, error = run("convert", source, weight_file, "--no-sync")
        self.assertEqual(code, 0, error)
        command = ["export", weight_file, self.exported, "--force", "--no-sync", "--json"]
        code, text, _ = run(*command)
        if code == 1 and "drop_opaque" in text:
            self.assertFalse(self.exported.exists(), "a refused export left a file behind")
            code, text, _ = run(*command, "--drop-opaque")
        self.assertEqual(code, 0, text)
        return json.loads(text)["dropped"]

    def check(self, source):
        dropped = self.export(source)
        original = without(load(source), dropped)
        for options in [{}, {"mmap": True}]:
            compare(load(self.exported, **options), original)
        if loads_safely(source):
            self.assertEqual(dropped, [])
            compare(load(self.exported, weights_only=True), load(source, weights_only=True))
        self.check_archive()
        self.exported.unlink()

    def check_archive(self):
        """Records as torch.save has them: their order, every one aligned, none damaged."""
        with zipfile.ZipFile(self.exported) as archive:
            self.assertIsNone(archive.testzip())
            names = [name.removeprefix("archive/") for name in archive.namelist()]
            data = names[4:-1]
            first = ["data.pkl", ".format_version", ".storage_alignment", "byteorder"]
            self.assertEqual(names, [*first, *[f"data/{i}" for i in range(len(data))], "version"])
        reader = torch._C.PyTorchFileReader(str(self.exported))
        for name in names:
            self.assertEqual(reader.get_record_offset(name) % 64, 0, name)

    def test_fixtures(self):
        # Of 1.13's composites, this version of PyTorch cannot load all.
        patterns = ["torch-*/*.pt", "composites/torch-2*.pt"]
        sources = sorted(it for pattern in patterns for it in (DATA / "checkpoints").glob(pattern))
        self.assertGreater(len(sources), 20)
        for source in sources:
            with self.subTest(source=f"{source.parent.name}/{source.name}"):
                self.check(source)

    def test_tensors_of_subclasses(self):
        subclasses.stand_in_for_torchao()
        safe = {"subclasses": False, "dtensor": True, "torchao": True, "jagged": True}
        for name, is_safe in safe.items():
            source = DATA / f"checkpoints/subclasses/{name}.pt"
            with self.subTest(source=name):
                self.assertEqual(loads_safely(source), is_safe)
                self.check(source)

    def test_tensors_of_subclasses_are_safe_where_their_classes_are(self):
        source = DATA / "checkpoints/subclasses/subclasses.pt"
        two = torch.testing._internal.two_tensor.TwoTensor
        classes = [subclasses.Tagged, subclasses.Slotted, subclasses.Listed, two]
        with torch.serialization.safe_globals(classes):
            self.assertTrue(loads_safely(source))
            self.check(source)

    def test_nested_tensors_inside_of_other_tensors(self):
        inner = torch.nested.nested_tensor_from_jagged(torch.ones(5), torch.tensor([0, 2, 5]))
        source = self.folder / "inside.pt"
        torch.save({"w": subclasses.tagged(torch.ones(2), inner=inner), "inner": inner}, source)
        with torch.serialization.safe_globals([subclasses.Tagged]):
            self.assertTrue(loads_safely(source))
            self.check(source)

    def test_what_this_version_of_pytorch_saves(self):
        cases = make.CASES | generated.CASES
        for name, case in cases.items():
            with self.subTest(case=name):
                source = self.folder / f"{name}.pt"
                torch.save(case(), source)
                self.check(source)

    def test_whole_modules_are_exported_as_their_state_dicts(self):
        for name, make_module in generated.MODULES.items():
            for save in [torch.save, lambda it, path: torch.save({"net": it}, path)]:
                with self.subTest(module=name):
                    module, source = make_module(), self.folder / "module.pt"
                    save(module, source)
                    dropped = self.export(source)
                    found = load(self.exported, weights_only=True)
                    found = found.get("net", found)
                    compare(found, collections.OrderedDict(module.state_dict(keep_vars=True)))
                    self.assertIn("all but the state dict of a ", dropped[0])

    def test_scripted_modules_are_exported_by_their_names(self):
        for name in ["norm", "lstm", "own"]:
            with self.subTest(module=name):
                module, source = generated.MODULES[name](), self.folder / "script.pt"
                torch.jit.save(torch.jit.script(module), source)
                self.export(source)
                expected = collections.OrderedDict(module.state_dict(keep_vars=True))
                compare(load(self.exported, weights_only=True), expected)

    def test_a_tensor_beside_a_state_dict_is_left_out_only_if_that_is_wanted(self):
        module, source = torch.nn.Linear(2, 2), self.folder / "module.pt"
        module.mean = torch.ones(3)
        torch.save(module, source)
        weight_file = self.folder / "model.wmap"
        self.assertEqual(run("convert", source, weight_file)[0], 0)
        code, _, error = run("export", weight_file, self.exported)
        self.assertEqual(code, 1)
        self.assertIn("`__state__.mean` is a tensor that is in no state dict", error)
        self.assertIn("hint: to leave them out, add --drop-opaque", error)
        self.assertFalse(self.exported.exists())
        self.assertIn("__state__.mean: a tensor", self.export(source))

    def test_the_exported_object_can_be_saved_again(self):
        source = DATA / "checkpoints/torch-2.13/training.pt"
        self.export(source)
        again = self.folder / "again.pt"
        torch.save(load(self.exported), again)
        compare(load(again), load(source))

    def test_the_comparison_sees_differences(self):
        for what, ours, theirs in generated.DIFFERENCES:
            with self.subTest(what=what), self.assertRaises(Difference):
                compare(ours(), theirs())


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
