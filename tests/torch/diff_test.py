# SPDX-License-Identifier: Apache-2.0
"""What `weightmap diff` says of two checkpoints is what PyTorch says of their tensors.

Usage: diff_test.py WEIGHTMAP DATA
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

from need_torch import need

need()

import torch  # noqa: E402

WEIGHTMAP, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path += [str(DATA / "diff"), str(DATA / "checkpoints")]

import generated  # noqa: E402
import make  # noqa: E402
import pairs  # noqa: E402


# Which values are one object, and which tensors lie in one storage without being the same elements.
NOT_COMPARED = {"one object or two", "two objects or one", "storage", "distance"}


def run(*command):
    done = subprocess.run([WEIGHTMAP, *map(str, command)], capture_output=True, text=True)
    return done.returncode, done.stdout


class Diff(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def save(self, name, value):
        torch.save(value, self.folder / name)
        return self.folder / name

    def diff(self, first, second, *options):
        code, text = run("diff", first, second, "--json", *options)
        report = json.loads(text)
        self.assertEqual(code, 0 if report.get("equal") else 1, text)
        return report

    def check_pairs(self, made):
        first = self.save("first.pt", {name: pair[0] for name, pair in made.items()})
        second = self.save("second.pt", {name: pair[1] for name, pair in made.items()})
        report = self.diff(first, second)
        self.assertEqual(report["compared"], len(made))
        told = {it["name"]: it["elements"] for it in report["tensors"]}
        for name, pair in made.items():
            with self.subTest(pair=name):
                self.assertEqual(told.get(name), pairs.changes(*pair))

    def test_the_committed_pairs_are_what_pytorch_says_of_them(self):
        first, second = (torch.load(DATA / "diff" / name) for name in ("first.pt", "second.pt"))
        told = json.loads((DATA / "diff/changes.json").read_text())
        self.assertEqual({name: pairs.changes(first[name], second[name]) for name in first}, told)

    def test_pairs_of_every_dtype_and_layout(self):
        for seed in range(100, 110):
            with self.subTest(seed=seed):
                self.check_pairs(pairs.pairs(seed))

    def test_tensors_of_several_blocks(self):
        first = torch.rand(3, 1000, 1100)
        second = first.clone()
        second[1, ::7, ::11] += 0.25
        second[2, 999, 1099] = math.nan
        other_order = second.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        halves = first.half()
        self.check_pairs(
            {
                "alike": (first, second),
                "transposed": (first, other_order),
                "both_transposed": (first.permute(2, 1, 0), second.permute(2, 1, 0)),
                "cast": (first, halves),
            }
        )

    def test_every_object_equals_its_weight_file_and_itself_saved_again(self):
        for name, case in (make.CASES | generated.CASES).items():
            with self.subTest(case=name):
                source = self.save("source.pt", case())
                target = self.folder / "target.wmap"
                self.assertEqual(run("convert", source, target, "--force", "--no-sync")[0], 0)
                for first, second in [(source, target), (target, source), (source, source)]:
                    report = self.diff(first, second)
                    self.assertTrue(report["equal"], report)

    def test_objects_that_differ_are_told_apart(self):
        for what, ours, theirs in generated.DIFFERENCES:
            with self.subTest(what=what):
                first, second = self.save("first.pt", ours()), self.save("second.pt", theirs())
                self.assertEqual(self.diff(first, second)["equal"], what in NOT_COMPARED)


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
