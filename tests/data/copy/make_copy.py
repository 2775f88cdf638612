# SPDX-License-Identifier: Apache-2.0
"""Writes casts.bin beside this file: what PyTorch's copy_() makes of numbers of each dtype in each other. torch 2.13
on x86-64, numpy.

For each source dtype:

    u8 dtype, u8 1 if its inputs are every pattern (of 8 or 16 bits), u32 number of inputs, the inputs unless they
    are every pattern, u8 number of targets; for each: u8 dtype, u8 1 if only the CRC-32 of the results is recorded,
    that CRC or the results

Dtypes are numbers of c10::ScalarType, everything is little-endian. A NaN that results is always the same one. Where C++
leaves open what a float becomes as an integer, the result is what base/copy_elements.h says, computed here; PyTorch on
x86 has the same, apart from what `differs_here` tells.
"""

import pathlib
import random
import struct
import zlib

import torch

CODES = {
    torch.uint8: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.int64: 4, torch.float16: 5,
    torch.float32: 6, torch.float64: 7, torch.complex32: 8, torch.complex64: 9, torch.complex128: 10, torch.bool: 11,
    torch.bfloat16: 15, torch.float8_e5m2: 23, torch.float8_e4m3fn: 24, torch.float8_e5m2fnuz: 25,
    torch.float8_e4m3fnuz: 26, torch.uint16: 27, torch.uint32: 28, torch.uint64: 29, torch.float8_e8m0fnu: 44,
}  # fmt: skip
PART_OF = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
SMALL_FLOATS = [dtype for dtype in CODES if "float8" in str(dtype)]
SHORT_FLOATS = [*SMALL_FLOATS, torch.float16, torch.bfloat16, torch.float32]
INTEGERS = [dtype for dtype in CODES if "int" in str(dtype)]
PLAIN_OF_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
NANS = {
    torch.float8_e5m2: 0x7F, torch.float8_e4m3fn: 0x7F, torch.float8_e5m2fnuz: 0x80, torch.float8_e4m3fnuz: 0x80,
    torch.float8_e8m0fnu: 0xFF, torch.float16: 0x7E00, torch.bfloat16: 0x7FC0, torch.float32: 0x7FC00000,
    torch.float64: 0x7FF8 << 48,
}  # fmt: skip
# Of what the integer is cut: the type that the float is cast to first.
WAY_BITS = {torch.int8: 32, torch.int16: 32, torch.uint16: 32, torch.int32: 32}


def size_of(dtype):
    return torch.empty(0, dtype=dtype).element_size()


def parts(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def bytes_of(tensor):
    tensor = parts(tensor.contiguous())
    return tensor.view(PLAIN_OF_SIZE[tensor.element_size()]).numpy().tobytes()


def every_pattern(dtype):
    if dtype == torch.bool:
        return torch.tensor([False, True])
    if size_of(dtype) == 1:
        return torch.arange(256).to(torch.uint8).view(dtype)
    return torch.arange(1 << 16).to(torch.int32).to(torch.uint16).view(dtype)


def short_neighbours(dtype):
    """Some positive numbers of a float dtype, in ascending order, and the middles between neighbours."""
    if dtype == torch.float32:
        edges = [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x3F800001, 0x3F800002, 0x7F7FFFFE, 0x7F7FFFFF]
        numbers = torch.tensor(edges, dtype=torch.int32).view(torch.float32).double()
        pairs = list(zip(numbers[:-1], numbers[1:]))
    else:
        numbers = every_pattern(dtype).to(torch.float64)
        numbers = numbers[numbers.isfinite() & (numbers >= 0)].unique()
        count = len(numbers)
        one = int((numbers == 1).nonzero()[0])
        exponent = int((numbers == 2).nonzero()[0]) - one
        near = {0, 1, exponent - 1, exponent, one - 1, one, one + 1, one + 2, count - 3, count - 2}
        pairs = [(numbers[i], numbers[i + 1]) for i in sorted(near) if 0 <= i < count - 1]
    largest, before = pairs[-1][1], pairs[-1][0]
    pairs.append((largest, largest + (largest - before)))
    return [float(n) for pair in pairs for n in (pair[0], (pair[0] + pair[1]) / 2, pair[1])]


def float_inputs(dtype):
    values = {0.0, float("inf"), 2.0**64, 2.0**64 * 1.5, 1e30, 3.4e38}
    for short in SHORT_FLOATS:
        values.update(short_neighbours(short))
    for power in (7, 8, 15, 16, 31, 32, 53, 63, 64):
        values.update(2.0**power + step for step in (-1, -0.5, 0, 0.5, 1))
    values.update([5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e-46, 0.3, 300.7])
    exact = torch.tensor(sorted(values), dtype=torch.float64).to(dtype)
    up = torch.nextafter(exact, torch.full_like(exact, float("inf")))
    down = torch.nextafter(exact, torch.full_like(exact, 0))
    chance = random.Random(1)
    noise = torch.tensor([chance.gauss(0, 1) * 2.0 ** chance.randint(-30, 66) for _ in range(60)], dtype=torch.float64)
    bits = [chance.getrandbits(8 * size_of(dtype)) for _ in range(30)]
    size = size_of(dtype)
    patterns = torch.frombuffer(bytearray(b"".join(b.to_bytes(size, "little") for b in bits)), dtype=dtype)
    positive = torch.cat([exact, up, down]).unique()
    return torch.cat([positive, -positive, noise.to(dtype), patterns, torch.tensor([float("nan")], dtype=dtype)])


def integer_inputs(dtype):
    bits = 8 * size_of(dtype)
    values = set()
    for power in (0, 7, 8, 11, 15, 16, 24, 31, 32, 53, 63, 64):
        values.update((1 << power) + step for step in range(-2, 3))
    for mantissa in (8, 9, 11, 12, 24, 25, 53, 54):  # middles, and what lies beside them
        for odd in (1, 3):
            for shift in (1, 4, 8):
                middle = ((1 << mantissa) + odd) << shift
                values.update((middle - 1, middle, middle + 1))
    chance = random.Random(2)
    values.update(chance.getrandbits(bits) >> chance.randrange(bits) for _ in range(60))
    values.update([-v for v in values])
    modulo = sorted({v & (1 << bits) - 1 for v in values})
    return torch.frombuffer(bytearray(b"".join(v.to_bytes(bits // 8, "little") for v in modulo)), dtype=dtype)


def inputs_of(dtype):
    if dtype in PART_OF:
        numbers = every_pattern(torch.float16)[::211] if dtype == torch.complex32 else inputs_of(PART_OF[dtype])[::5]
        other = numbers[torch.randperm(len(numbers), generator=torch.Generator().manual_seed(3))]
        return torch.view_as_complex(torch.stack([numbers, other], -1).contiguous())
    if size_of(dtype) < 4:
        return every_pattern(dtype)
    return float_inputs(dtype) if dtype.is_floating_point else integer_inputs(dtype)


def integer_of(number, dtype):
    """The rule of base/copy_elements.h, with Python's unlimited integers."""
    bits = 8 * size_of(dtype)
    if dtype == torch.uint64 and number >= 2.0**63:
        return int(number) if number < 2.0**64 else 0
    way = WAY_BITS.get(dtype, 64)
    lowest = -(1 << way - 1)
    is_whole = number == number and abs(number) != float("inf") and lowest <= int(number) < -lowest
    whole = int(number) if is_whole else lowest
    return whole & (1 << bits) - 1


def differs_here(source, target):
    """The vector code of uint32, and a compiler that knew the only NaN of some dtypes."""
    return target == torch.uint32 or source in SMALL_FLOATS


def integers_of(source, dtype):
    numbers = (source.real if source.is_complex() else source).double().tolist()
    bits = 8 * size_of(dtype)
    data = b"".join(integer_of(number, dtype).to_bytes(bits // 8, "little") for number in numbers)
    theirs = bytes_of(torch.empty(len(source), dtype=dtype).copy_(source))
    if not differs_here(source.dtype, dtype):
        assert theirs == data, (source.dtype, dtype)
    info, step = torch.iinfo(dtype), bits // 8
    for i, number in enumerate(numbers):
        if info.min - 1 < number < info.max + 1:
            assert theirs[i * step : i * step + step] == data[i * step : i * step + step], (source.dtype, dtype, number)
    return data


def results_of(source, dtype):
    if dtype in INTEGERS and (source.dtype.is_floating_point or source.is_complex()):
        return integers_of(source, dtype)
    result = parts(torch.empty(len(source), dtype=dtype).copy_(source)).contiguous()
    if dtype.is_floating_point or dtype.is_complex:
        result.view(PLAIN_OF_SIZE[result.element_size()])[result.double().isnan()] = NANS[result.dtype]
    return bytes_of(result)


def is_summed(source, target):
    return size_of(source) < 4 or source in PART_OF or target in PART_OF


def record(dtype):
    source = inputs_of(dtype)
    is_every = int(size_of(dtype) < 4)
    data = struct.pack("<BBI", CODES[dtype], is_every, len(source))
    data += b"" if is_every else bytes_of(source)
    data += struct.pack("<B", len(CODES))
    for target in CODES:
        results, summed = results_of(source, target), is_summed(dtype, target)
        data += struct.pack("<BB", CODES[target], int(summed))
        data += struct.pack("<I", zlib.crc32(results)) if summed else results
    return data


(pathlib.Path(__file__).parent / "casts.bin").write_bytes(b"".join(map(record, CODES)))
