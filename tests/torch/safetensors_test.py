# SPDX-License-Identifier: Apache-2.0
"""What is exported as safetensors is what the reference library writes and reads.

Usage: safetensors_test.py WEIGHTMAP DATA
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from need_torch import need

need("safetensors")

import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
from compare_objects import extent  # noqa: E402

WEIGHTMAP, DATA = sys.argv[1], pathlib.Path(sys.argv[2])
FIXTURES = DATA / "checkpoints/torch-2.13"

PAIRS = torch.float4_e2m1fn_x2


def numbers(*shape, dtype=torch.float32):
    return torch.arange(1, 1 + torch.Size(shape).numel()).to(dtype).reshape(shape)


def run(*command):
    done = subprocess.run([WEIGHTMAP, *map(str, command)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def header_bytes(path):
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


# Each is refused without its option: what is saved, the option, what the message says.
REFUSED = [
    ({"w": numbers(3, 4).t()}, "--contiguous", "`w`: not in row-major order"),
    ({"w": numbers(2, 1).expand(2, 3)}, "--contiguous", "`w`: not in row-major order"),
    (dict.fromkeys(["a", "b"], numbers(3)), "--duplicate-ties", "`b`: shares bytes"),
    ({"w": numbers(3), "epoch": 3}, "--drop-extras", "`epoch: int`: no tensor"),
    ({"w": numbers(3), "more": [{}]}, "--drop-extras", "`more.0: dict`: no tensor"),
    (torch.nn.Linear(2, 2).state_dict(), "--drop-extras", "`_metadata: an attribute`: no tensor"),
    ({"w": numbers(3).to(torch.complex128)}, "--drop-tensors", "of the dtype complex128"),
    ({"w": numbers(3).to(torch.complex64).conj()}, "--drop-tensors", "stored conjugated"),
    ({"w": torch.empty(3, device="meta")}, "--drop-tensors", "a meta tensor without values"),
    # F4 counts values, of which an element has two: without dimensions, and where their number ends.
    ({"w": torch.ones((), dtype=torch.uint8).view(PAIRS)}, "--drop-tensors", "with the shape []"),
    ({"w": torch.ones(0, 2**62, dtype=torch.uint8).view(PAIRS)}, "--drop-tensors", "with the shape [0, 4611"),
    ({"__metadata__": numbers(3)}, "--drop-tensors", "a name that safetensors keeps"),
]


class Safetensors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.exported = self.folder / "exported.safetensors"

    def convert(self, value):
        weight_file, source = self.folder / "model.wmap", self.folder / "source.pt"
        torch.save(value, source)
        code, _, error = run("convert", source, weight_file, "--no-sync")
        self.assertEqual(code, 0, error)
        return weight_file

    def export(self, value, *options):
        weight_file = self.convert(value)
        command = ["export", weight_file, self.exported, "--force", "--no-sync"]
        code, text, error = run(*command, "--json", *options)
        self.assertEqual(code, 0, text + error)
        return json.loads(text)

    def check_values(self, expected):
        """The reference library reads the same tensors, bit for bit."""
        loaded = safetensors.torch.load_file(self.exported)
        self.assertEqual(set(loaded), set(expected))
        for name, tensor in expected.items():
            ours, theirs = loaded[name], tensor.detach().contiguous()
            self.assertEqual((ours.dtype, ours.shape), (theirs.dtype, theirs.shape), name)
            self.assertEqual(extent(ours), extent(theirs), name)

    def dtypes(self):
        """A tensor of every dtype that the reference library takes."""
        found = {}
        for name, dtype in sorted(vars(torch).items()):
            if not isinstance(dtype, torch.dtype) or str(dtype) in map(str, [t.dtype for t in found.values()]):
                continue
            try:
                raw = torch.arange(64, dtype=torch.uint8) % (2 if dtype == torch.bool else 255)
                tensor = {name: raw.view(dtype).view(2, -1).clone()}
                safetensors.torch.save(tensor)
                found |= tensor
            except (KeyError, ValueError, RuntimeError, NotImplementedError):
                pass  # a dtype that the library, or that PyTorch's own views, do not take
        return found

    def test_every_byte_is_as_the_reference_library_writes_it(self):
        tensors = self.dtypes() | {
            "empty": torch.empty(0, 3),
            "scalar": torch.tensor(1.5),
            'quoted "name" \\ \t é 网络': numbers(2),
            "z": numbers(3),
            "a": numbers(3, dtype=torch.int64),
        }
        self.assertGreater(len(tensors), 20)
        self.export(tensors)
        reference = self.folder / "reference.safetensors"
        safetensors.torch.save_file(tensors, reference, metadata={"format": "pt"})
        self.assertEqual(self.exported.read_bytes(), reference.read_bytes())
        self.check_values(tensors)

    def test_a_model(self):
        report = self.export(torch.load(DATA / "digits/digits.pt"), "--drop-extras", "--duplicate-ties",
                             "--contiguous")  # fmt: skip
        expected = torch.load(DATA / "digits/digits.pt")
        self.assertEqual(report["tensors"], len(expected))
        self.check_values(expected)
        with safetensors.safe_open(self.exported, "pt") as file:
            self.assertEqual(file.metadata(), {"format": "pt"})

    def test_strided_tensors_in_row_major_order(self):
        base = numbers(2, 3, 4, 5, dtype=torch.int16)
        large = numbers(3000, 3001, dtype=torch.int32)
        views = {
            "transposed": base.permute(3, 1, 0, 2),
            "reversed": base.permute(3, 2, 1, 0),
            "sliced": base[:, 1:, ::2, 3],
            "expanded": base[0, 0, 0, :1].expand(7, 3),
            "overlapping": base.view(-1).as_strided((5, 4), (2, 1), 3),
            "column": large[:, 7],
            "every_other": large[::2, 1::2],
            "large_transposed": large.t(),
            "large_expanded": large[5, :2000].unsqueeze(1).expand(2000, 1500),
        }
        report = self.export(views, "--contiguous", "--duplicate-ties")
        self.assertEqual(report["dropped"], [])
        self.check_values(views)

    def test_views_that_share_no_bytes_are_no_ties(self):
        base = numbers(100)
        views = {"first": base[:50], "second": base[50:], "empty": base[10:10]}
        self.export(views)
        self.check_values(views)

    def test_the_data_begins_where_the_alignment_says(self):
        tensors = {"w": numbers(5), "b": numbers(3)}
        for alignment, begin in [("4096", 4096), ("2MiB", 1 << 21), ("8", None)]:
            with self.subTest(alignment=alignment):
                self.export(tensors, "--align", alignment)
                self.assertEqual(header_bytes(self.exported), begin or header_bytes(self.exported))
                self.assertEqual(header_bytes(self.exported) % 8, 0)
                self.check_values(tensors)

    def test_what_it_cannot_say_is_refused_by_name_with_the_option_that_resolves_it(self):
        for value, option, message in REFUSED:
            with self.subTest(option=option, message=message):
                command = ["export", self.convert(value), self.exported, "--no-sync"]
                code, _, error = run(*command)
                self.assertEqual(code, 1)
                self.assertIn(message, error)
                self.assertIn(f"add {option}", error)
                self.assertFalse(self.exported.exists())
                code, _, error = run(*command, option)
                self.assertEqual(code, 0, error)
                tensors = {name: it for name, it in value.items() if isinstance(it, torch.Tensor)}
                self.check_values({} if option == "--drop-tensors" else tensors)
                self.exported.unlink()


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
