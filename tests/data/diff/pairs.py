# SPDX-License-Identifier: Apache-2.0
"""Pairs of tensors, and what PyTorch says of how their elements differ. Needs torch 2.13."""

import math
import random

import torch

NUMBERS = [
    *[torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32],
    *[torch.uint64, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64],
    *[torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e5m2fnuz, torch.float8_e4m3fnuz],
    *[torch.float8_e8m0fnu, torch.complex32, torch.complex64, torch.complex128, torch.bool],
]
WITHOUT_NUMBERS = [torch.bits8, torch.bits16]
REAL_OF = {
    torch.complex32: torch.float16,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}


def word(dtype):
    return str(dtype).removeprefix("torch.")


def raw(tensor):
    """The bytes of each element, in row-major order."""
    if tensor.numel() == 0:
        return torch.empty(0, 1)
    plain = tensor if tensor.dtype in WITHOUT_NUMBERS else tensor.resolve_conj().resolve_neg()
    return plain.contiguous().reshape(-1).view(torch.uint8).reshape(-1, tensor.element_size())


def from_bytes(data, dtype):
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype)


def random_pair(dtype, generator, count=61):
    """Any bits; in the second one some elements have others."""
    size = torch.empty(0, dtype=dtype).element_size()
    first = bytearray(generator.randbytes(count * size))
    if dtype == torch.bool:
        first = bytearray(byte & 1 for byte in first)
    second = bytearray(first)
    for element in generator.sample(range(count), count // 3):
        place = element * size + generator.randrange(size)
        second[place] ^= 1 if dtype == torch.bool else generator.randrange(1, 256)
    return from_bytes(first, dtype), from_bytes(second, dtype)


def numbers_of(tensor):
    """Each element as a list of Python numbers, which are exact."""
    tensor = tensor.resolve_conj().resolve_neg().reshape(-1)
    if tensor.dtype in WITHOUT_NUMBERS:
        return None
    if tensor.dtype in REAL_OF:
        parts = tensor.contiguous().view(REAL_OF[tensor.dtype]).reshape(-1, 2)
        return parts.double().tolist()
    if tensor.is_floating_point():
        exact = tensor if tensor.dtype == torch.float64 else tensor.float()
        return [[it] for it in exact.tolist()]
    return [[int(it)] for it in tensor.tolist()]


def told(largest):
    return "inf" if largest == math.inf else largest


def is_another(x, y):
    return x != y and not (math.isnan(x) and math.isnan(y))


def changes(first, second):
    """As ElementChanges of weightmap/diff.h; None where nothing changed."""
    a, b = numbers_of(first), numbers_of(second)
    if first.dtype == second.dtype:
        changed = (raw(first) != raw(second)).any(dim=1).tolist()
    else:
        changed = [any(map(is_another, p, q)) for p, q in zip(a, b)]
    if not any(changed):
        return None
    largest, only_first, only_second = None, 0, 0
    for i in [i for i, it in enumerate(changed) if it and a]:
        first_nan, second_nan = (any(map(math.isnan, side[i])) for side in (a, b))
        only_first += first_nan and not second_nan
        only_second += second_nan and not first_nan
        for x, y in zip(a[i], b[i]):
            difference = 0.0 if x == y else float(abs(x - y))
            if not math.isnan(difference):
                largest = max(difference, 0.0 if largest is None else largest)
    return {
        "elements": first.numel(),
        "changed": sum(changed),
        "largest": told(largest),
        "nan_only_in_first": only_first,
        "nan_only_in_second": only_second,
    }


def layouts(generator):
    """One shape, other strides: slices, transposed, expanded ..."""
    whole = torch.tensor([generator.random() for _ in range(6 * 7 * 8)]).reshape(6, 7, 8)
    other = whole.clone()
    other[2, 3, 4] += 0.5
    other[5, 6, 7] = -3
    other[0, 0, 3] = 9
    spread = torch.zeros(6, 14, 8)
    spread[:, ::2] = other
    column = torch.arange(6.0).reshape(6, 1)
    return {
        "transposed": (whole, other.permute(2, 0, 1).contiguous().permute(1, 2, 0)),
        "sliced": (whole[:, 1:5, ::2], other[:, 1:5, ::2]),
        "spread": (spread[:, ::2], whole),
        "both_permuted": (whole.permute(2, 1, 0), other.permute(2, 1, 0)),
        "expanded": (column.expand(6, 9), (column + torch.tensor([0, 2.0] + [0] * 7)).contiguous()),
        "both_expanded": (column.expand(6, 9), (column * 2).expand(6, 9)),
        "transposed_alike": (whole, whole.permute(2, 0, 1).contiguous().permute(1, 2, 0)),
        "overlapping": (whole.as_strided((5, 6), (2, 1)), other.as_strided((5, 6), (2, 1))),
        "scalar": (torch.tensor(1.5), torch.tensor(-1.5)),
        "empty": (torch.empty(0, 3), torch.empty(0, 3)),
        "one_conjugated": (torch.complex(column, column), torch.complex(column, column).conj()),
        "conjugate_alike": (torch.complex(column, column).conj(), torch.complex(column, -column)),
    }


def casts(generator):
    values = torch.tensor([generator.uniform(-3, 3) for _ in range(40)])
    values[3] = math.nan
    values[4] = math.inf
    values[5] = 0.5
    dtypes = [
        (torch.float32, torch.float16),
        (torch.float32, torch.bfloat16),
        (torch.float64, torch.float32),
        (torch.float16, torch.float8_e4m3fn),
        (torch.complex64, torch.complex128),
    ]
    found = {f"{word(a)}_as_{word(b)}": (values.to(a), values.to(b)) for a, b in dtypes}
    integers = torch.arange(40, dtype=torch.int32)
    return found | {"int32_as_float32": (integers, integers + 0.25)}


def extremes():
    integers = torch.tensor([-(2**63), 2**63 - 1, 2**53, 5], dtype=torch.int64)
    others = torch.tensor([2**63 - 1, 2**63 - 2, 2**53 + 1, 5], dtype=torch.int64)
    reals = torch.tensor([math.inf, -math.inf, math.inf, 0.0, math.nan])
    return {
        "int64_extremes": (integers, others),
        "int64_by_one": (integers[2:], others[2:]),
        "infinities": (reals, torch.tensor([math.inf, math.inf, 1.0, 0.0, math.nan])),
        "zeros": (torch.tensor([0.0, 0.0]), torch.tensor([-0.0, 0.0])),
        "always_nan": (torch.tensor([math.nan, 1.0]), torch.tensor([2.0, 1.0])),
    }


def pairs(seed):
    generator = random.Random(seed)
    found = {word(dtype): random_pair(dtype, generator) for dtype in NUMBERS + WITHOUT_NUMBERS}
    return found | layouts(generator) | casts(generator) | extremes()
