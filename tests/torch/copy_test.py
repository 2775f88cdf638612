# SPDX-License-Identifier: Apache-2.0
"""What copy_elements makes of every pair of dtypes is what PyTorch's copy_() makes of it, bit for bit.

Usage: copy_test.py WEIGHTMAP DATA COPY_FILTER
"""

import platform
import random
import subprocess
import sys
import unittest

from need_torch import need

need()

import torch  # noqa: E402

FILTER = sys.argv[3]
RANDOM_VALUES = 1_000_000  # for each pair whose source is longer than 16 bits

INTEGERS = [getattr(torch, f"{sign}int{size}") for sign in ("u", "") for size in (8, 16, 32, 64)]
SMALL_FLOATS = [getattr(torch, f"float8_{kind}") for kind in ("e5m2", "e4m3fn", "e5m2fnuz", "e4m3fnuz", "e8m0fnu")]
FLOATS = [*SMALL_FLOATS, torch.float16, torch.bfloat16, torch.float32, torch.float64]
PART_OF = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
DTYPES = [torch.bool, *INTEGERS, *FLOATS, *PART_OF]
# What PyTorch cannot negate, and so refuses to make of a negated tensor.
NOT_NEGATED = {torch.bool, torch.uint16, torch.uint32, torch.uint64, *SMALL_FLOATS}
PLAIN_OF_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def name_of(dtype):
    return str(dtype)[len("torch.") :]


def parts(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def bits(tensor):
    tensor = parts(tensor.contiguous())
    return tensor.view(PLAIN_OF_SIZE[tensor.element_size()])


def bytes_of(tensor):
    return bits(tensor).numpy().tobytes()


def from_bytes(data, dtype):
    plain = torch.frombuffer(bytearray(data), dtype=PART_OF.get(dtype, dtype))
    return torch.view_as_complex(plain.view(-1, 2)) if dtype in PART_OF else plain


def copied(source, target, shape, source_strides, target_strides, conj=False, neg=False):
    """The elements of `target` after a copy from `source`: both are all of a memory, in one dimension."""
    data, before = bytes_of(source), bytes_of(target)
    request = [name_of(source.dtype), name_of(target.dtype), int(conj), int(neg), len(data), len(before), len(shape)]
    line = " ".join(map(str, [*request, *shape, *source_strides, *target_strides]))
    answer = subprocess.run([FILTER], input=line.encode() + b"\n" + data + before, check=True, capture_output=True)
    return from_bytes(answer.stdout, target.dtype)


def is_nan(tensor):
    real = parts(tensor)
    return real.double().isnan() if real.is_floating_point() else torch.zeros(real.shape, dtype=torch.bool)


def generator():
    return torch.Generator().manual_seed(20)


def random_bits(dtype, count):
    size = torch.empty(0, dtype=dtype).element_size()
    words = torch.randint(-(2**63), 2**63 - 1, (count * size // 8 + 1,), generator=generator())
    return words.view(torch.uint8)[: count * size].view(dtype)


def edge_numbers():
    """Powers of two with what lies beside and between them, as float64 holds it, and much of it as float32 does."""
    powers = torch.exp2(torch.arange(-160, 140, dtype=torch.float64))
    steps = [0.0, *(s * 2.0**-k for k in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 22, 23, 24, 25, 40) for s in (1, -1))]
    near = torch.cat([powers * (1 + step) for step in steps])
    odd = torch.cat([near, near * 1.125, near * 1.75, near * (1 + 2.0**-10), near * (1 + 2.0**-7)])
    special = torch.tensor([0.0, float("inf"), float("nan"), 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308])
    values = torch.cat([odd, special.double()])
    return torch.cat([values, -values, -special[2:3].double()])


def edge_integers():
    near = [(1 << k) + d for k in range(64) for d in range(-3, 4)]
    middles = [(m << k) + d for k in range(60) for m in (0x101, 0x801, 0x803, 0x1000001, 0x1000003) for d in (-1, 0, 1)]
    values = [v & (1 << 64) - 1 for n in near + middles for v in (n, -n)]
    return torch.tensor([v - (1 << 64 if v >> 63 else 0) for v in values], dtype=torch.int64)


def float_values(dtype):
    exponents = torch.randint(-45, 70, (RANDOM_VALUES // 2,), generator=generator()).double()
    fractions = torch.rand(len(exponents), generator=generator(), dtype=torch.float64) * 2 - 1
    useful = torch.ldexp(fractions, exponents.int()).to(dtype)
    return torch.cat([edge_numbers().to(dtype), useful, random_bits(dtype, RANDOM_VALUES // 2)])


def values_of(dtype):
    """Every pattern of up to 16 bits, edges and random ones of the longer."""
    size = torch.empty(0, dtype=dtype).element_size()
    if dtype == torch.bool:
        return torch.tensor([False, True])
    if dtype in PART_OF:
        numbers = values_of(PART_OF[dtype])
        return torch.complex(numbers.double(), numbers.flip(0).double()).to(dtype)
    if size == 1:
        return torch.arange(256).to(torch.uint8).view(dtype)
    if size == 2:
        return torch.arange(1 << 16).to(torch.int32).to(torch.uint16).view(dtype)
    if dtype.is_floating_point:
        return float_values(dtype)
    edges = edge_integers()
    if size == 4:
        edges = edges[(edges >> 32 == 0) | (edges >> 32 == -1)].to(torch.int32)
    return torch.cat([edges.view(dtype), random_bits(dtype, RANDOM_VALUES)])


def is_float(tensor):
    return tensor.is_floating_point() or tensor.is_complex()


def real_numbers(tensor):
    return (tensor.real if tensor.is_complex() else tensor).double()


def expected(source, target):
    """What PyTorch makes of it. From floats to uint32 its vector and its scalar code differ beyond the type."""
    result = target.clone().copy_(source)
    if target.dtype != torch.uint32 or not is_float(source):
        return result
    numbers = real_numbers(source)
    inside = (numbers > -1) & (numbers < 2**32)
    modulo = numbers.to(torch.int64).to(torch.int32)
    return torch.where(inside, bits(result), modulo).view(torch.uint32)


def is_defined(source, target):
    """Where C++ says what a float becomes as an integer."""
    whole = real_numbers(source).trunc()
    if target.dtype not in INTEGERS or not is_float(source):
        return torch.ones(whole.shape, dtype=torch.bool)
    info = torch.iinfo(target.dtype)
    return (whole >= float(info.min)) & (whole < float(info.max + 1))


def is_compared(source, target):
    """Elsewhere we follow PyTorch on x86, but for the only NaN of some dtypes: the compiler made it 0."""
    if platform.machine() != "x86_64" or source.dtype in SMALL_FLOATS:
        return is_defined(source, target)
    return torch.ones(target.shape, dtype=torch.bool)


class Copies(unittest.TestCase):
    def compare(self, ours, theirs, where=None):
        """NaN is NaN: PyTorch's own depend on how many elements it has and where they lie."""
        differs = (bits(ours) != bits(theirs)) & ~(is_nan(ours) & is_nan(theirs))
        if ours.is_complex():
            differs = differs.any(-1)
        if where is not None:
            differs &= where
        if differs.any():
            first = differs.nonzero()[0].tolist()
            found = [parts(t.contiguous())[tuple(first)].tolist() for t in (ours, theirs)]
            self.fail(f"{int(differs.sum())} differ, first {first}: {found[0]}, not {found[1]}")

    def test_every_pair(self):
        for source_dtype in DTYPES:
            source = values_of(source_dtype)
            for target_dtype in DTYPES:
                with self.subTest(source=source_dtype, target=target_dtype):
                    target = torch.zeros(len(source), dtype=target_dtype)
                    ours = copied(source, target, [len(source)], [1], [1])
                    theirs = expected(source, target)
                    self.compare(ours, theirs, is_compared(source, theirs))

    def test_any_strides_conjugated_or_negated(self):
        chance = random.Random(7)
        for source_dtype in DTYPES:
            for target_dtype in DTYPES:
                for _ in range(3):
                    conj = source_dtype in PART_OF and chance.random() < 0.5
                    neg = can_negate(source_dtype, target_dtype, conj) and chance.random() < 0.5
                    shape = [chance.choice([1, 2, 3, 5, 8]) for _ in range(chance.randrange(6))]
                    source_strides = strides_for(shape, chance, may_repeat=True)
                    target_strides = strides_for(shape, chance, may_repeat=False)
                    with self.subTest(source=source_dtype, target=target_dtype, shape=shape, conj=conj, neg=neg):
                        source = small_values(source_dtype, extent(shape, source_strides))
                        target = small_values(target_dtype, extent(shape, target_strides))
                        ours = copied(source, target, shape, source_strides, target_strides, conj, neg)
                        theirs = target.clone()
                        view = source.as_strided(shape, source_strides)
                        view = view.conj() if conj else view
                        view = torch._neg_view(view) if neg else view
                        theirs.as_strided(shape, target_strides).copy_(view)
                        if neg and target.is_complex():  # whose vector code makes 0 of -0
                            ours, theirs = ours + 0, theirs + 0
                        self.compare(ours, theirs)

    def test_negated_float16_becomes_float32(self):
        """PyTorch's copy of contiguous ones forgets the sign: with a stride it does not."""
        source = torch.tensor([1.5, -2.0, 0.0, float("inf")], dtype=torch.float16)
        ours = copied(source, torch.zeros(4), [4], [1], [1], neg=True)
        theirs = torch.zeros(8)[::2].copy_(torch._neg_view(source))
        self.compare(ours, theirs)

    def test_long_runs_in_any_order(self):
        chance = random.Random(8)
        for dtypes in [(torch.float32, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, torch.int8)]:
            for shape in [[700, 3], [3, 700], [513, 514], [2, 1025, 2], [100, 1, 100]]:
                with self.subTest(dtypes=dtypes, shape=shape):
                    strides = [strides_for(shape, chance, may_repeat=False) for _ in dtypes]
                    source, target = (small_values(d, extent(shape, s)) for d, s in zip(dtypes, strides))
                    ours = copied(source, target, shape, *strides)
                    theirs = target.clone()
                    theirs.as_strided(shape, strides[1]).copy_(source.as_strided(shape, strides[0]))
                    self.compare(ours, theirs)

    def test_the_comparison_sees_a_last_bit(self):
        ours = torch.tensor([1.0, float("nan")])
        self.compare(ours, torch.tensor([1.0, float("-nan")]))
        for other in ([1.0 + 2**-23, float("nan")], [1.0, 2.0], [float("nan"), float("nan")]):
            with self.assertRaises(AssertionError):
                self.compare(ours, torch.tensor(other))


def can_negate(source, target, conj):
    """Whether PyTorch does, and rightly."""
    if {source, target} == {torch.float16, torch.float32}:
        return False
    return target not in NOT_NEGATED and not (conj and target == torch.complex32)


def small_values(dtype, count):
    """Numbers that every integer holds after negation too."""
    numbers = torch.arange(count) % 100
    return numbers.to(torch.float32).to(dtype) if dtype != torch.bool else numbers % 3 == 0


def extent(shape, strides):
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))


def strides_for(shape, chance, may_repeat):
    """Dimensions in any order, with gaps; where elements may be one, some repeat."""
    strides, step = [0] * len(shape), 1
    for dimension in chance.sample(range(len(shape)), len(shape)):
        strides[dimension] = 0 if may_repeat and chance.random() < 0.2 else step
        step *= shape[dimension] + chance.choice([0, 0, 0, 1])
    return strides


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
