# SPDX-License-Identifier: Apache-2.0
"""What `--dtype` makes of every kind of tensor is what PyTorch's `to()` makes of it, bit for bit.

Usage: cast_test.py WEIGHTMAP DATA
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

from need_torch import need

need()

import torch  # noqa: E402

WEIGHTMAP = sys.argv[1]
TARGETS = [torch.float16, torch.bfloat16, torch.float32]
INTEGER_OF_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor):
    return tensor.contiguous().view(INTEGER_OF_SIZE[tensor.element_size()])


def name_of(dtype):
    return str(dtype)[len("torch.") :]


def every_16_bits(dtype):
    return torch.arange(1 << 16).to(torch.int32).to(torch.uint16).view(torch.int16).view(dtype)


def float32_values():
    """Each exponent and sign, with every pattern of the bits that rounding looks at."""
    heads = torch.arange(1 << 16, dtype=torch.int64) << 16
    tails = torch.tensor([0, 1, 0x0FFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001, 0xEFFF, 0xF000, 0xFFFF])
    patterns = (heads[:, None] | tails[None, :]).flatten()
    return (patterns - ((patterns >> 31) << 32)).to(torch.int32).view(torch.float32)


def float64_values():
    """The floats, what lies close beside them and between them, and what no float32 reaches."""
    exact = float32_values()[::7].double()
    exact = exact[exact.isfinite()]
    nearby = [exact, torch.nextafter(exact, exact + 1), torch.nextafter(exact, exact - 1)]
    middles = (exact[:-1] + exact[1:]) / 2
    large = torch.tensor([1e39, -1e39, 1e308, 5e-324, -5e-324, 1e-46, float("inf"), float("-inf"), float("nan")])
    random = torch.randint(-(2**62), 2**62, (100_000,), generator=torch.Generator().manual_seed(0)) * 2
    return torch.cat([*nearby, middles, large.double(), random.view(torch.float64)])


VALUES = {
    "float16": every_16_bits(torch.float16),
    "bfloat16": every_16_bits(torch.bfloat16),
    "float32": float32_values(),
    "float64": float64_values(),
}
BYTES = torch.arange(256).to(torch.uint8)
KEPT = {
    "float8_e5m2": BYTES.view(torch.float8_e5m2),
    "float8_e4m3fn": BYTES.view(torch.float8_e4m3fn),
    "float8_e5m2fnuz": BYTES.view(torch.float8_e5m2fnuz),
    "float8_e4m3fnuz": BYTES.view(torch.float8_e4m3fnuz),
    "float8_e8m0fnu": BYTES.view(torch.float8_e8m0fnu),
    "complex64": torch.tensor([1 + 2j, -0.5j]),
    "int64": torch.arange(5),
    "bool": torch.tensor([True, False]),
}


def converted(value, dtype):
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("in.pt", "x.wmap", "out.pt")]
        torch.save(value, paths[0])
        commands = [
            ["convert", *paths[:2], "--dtype", name_of(dtype), "--no-sync"],
            ["export", *paths[1:], "--no-sync"],
        ]
        for command in commands:
            subprocess.run([WEIGHTMAP, *map(str, command)], check=True, capture_output=True)
        return torch.load(paths[2])


class Casts(unittest.TestCase):
    def compare(self, ours, theirs):
        """NaN is some quiet NaN: PyTorch's own depend on how many elements it has."""
        self.assertEqual(ours.dtype, theirs.dtype)
        number = ~theirs.isnan()
        self.assertTrue(torch.equal(ours.isnan(), ~number))
        self.assertTrue(torch.equal(bits(ours)[number], bits(theirs)[number]))

    def test_floats_become_what_pytorch_makes_of_them(self):
        for dtype in TARGETS:
            found = converted(VALUES, dtype)
            for name, values in VALUES.items():
                with self.subTest(source=name, target=name_of(dtype)):
                    self.compare(found[name], values.to(dtype))

    def test_every_nan_is_quiet(self):
        quiet = {torch.float16: 1 << 9, torch.bfloat16: 1 << 6, torch.float32: 1 << 22}
        for dtype in TARGETS:
            for name, found in converted(VALUES, dtype).items():
                if VALUES[name].dtype == dtype or (name, dtype) == ("bfloat16", torch.float32):
                    continue  # not touched, or only made longer
                with self.subTest(source=name, target=name_of(dtype)):
                    nans = bits(found)[found.isnan()]
                    self.assertGreater(len(nans), 0)
                    self.assertTrue(((nans & quiet[dtype]) != 0).all())

    def test_a_longer_bfloat16_keeps_its_bits(self):
        found = converted({"all": VALUES["bfloat16"]}, torch.float32)["all"]
        self.assertTrue(torch.equal(bits(found), bits(VALUES["bfloat16"]).to(torch.int32) << 16))

    def test_what_is_of_that_dtype_or_no_such_float_is_not_touched(self):
        for dtype in TARGETS:
            kept = KEPT | {name_of(dtype): VALUES[name_of(dtype)]}
            for name, found in converted(kept, dtype).items():
                with self.subTest(source=name, target=name_of(dtype)):
                    self.assertEqual(found.dtype, kept[name].dtype)
                    self.assertTrue(torch.equal(bits_of(found), bits_of(kept[name])))

    def test_ties_and_views_stay(self):
        base = torch.arange(24, dtype=torch.float64).view(4, 6) / 7
        parameter = torch.nn.Parameter(base[1:3].t(), requires_grad=False)
        found = converted({"base": base, "tied": base, "view": base[::2, 1], "parameter": parameter}, torch.bfloat16)
        self.compare(found["base"], base.to(torch.bfloat16))
        self.compare(found["parameter"].detach(), base[1:3].t().to(torch.bfloat16))
        self.assertIs(found["tied"], found["base"])
        self.assertEqual(found["view"].stride(), (12,))
        distance = found["view"].data_ptr() - found["base"].data_ptr()
        self.assertEqual(distance, found["base"].element_size())
        self.assertIsInstance(found["parameter"], torch.nn.Parameter)

    def test_the_comparison_sees_a_last_bit(self):
        ours = torch.tensor([1.0, float("nan")])
        self.compare(ours, torch.tensor([1.0, float("-nan")]))
        for other in ([1.0 + 2**-23, float("nan")], [1.0, 2.0], [float("nan"), float("nan")]):
            with self.assertRaises(AssertionError):
                self.compare(ours, torch.tensor(other))


def bits_of(tensor):
    return bits(torch.view_as_real(tensor) if tensor.is_complex() else tensor)


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
