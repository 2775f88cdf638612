// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "weightmap/dtype.h"

namespace weightmap {

// float16, bfloat16, float32, float64.
bool is_ieee_float(Dtype dtype);

// Converts elements as PyTorch's `to()` does: to the nearest value, of two as near ones to the even
// one, beyond the largest to infinity; float64 goes by way of float32 to the shorter ones. NaN
// becomes some quiet NaN (PyTorch's own differ between its vector and its scalar code); from
// bfloat16 to float32 it keeps its bits.
// REQUIRES: is_ieee_float of both, as many elements in `into` as in `elements`, nothing left over.
void cast_floats(Dtype from,
                 std::span<const std::byte> elements,
                 Dtype to,
                 std::span<std::byte> into);

}  // namespace weightmap
