// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weightmap/dtype.h"

namespace weightmap {

// The kinds of float8, and float4_e2m1fn_x2.
bool is_small_float(Dtype dtype);

// The number that the bits stand for, exactly; of a float4 its four bits, the rest 0.
// REQUIRES: is_small_float.
float small_float_value(Dtype dtype, std::uint8_t bits);

}  // namespace weightmap
