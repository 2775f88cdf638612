// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "weightmap/dtype.h"

namespace weightmap {

// float16, bfloat16, float32, float64.
bool is_ieee_float(Dtype dtype);

// What an element is made of: itself, or the two parts of a complex one.
struct ElementParts {
  Dtype dtype;
  std::size_t count;
};
ElementParts parts_of_element(Dtype dtype);

// bool, the integers of 8, 16, 32 and 64 bits, is_ieee_float, the kinds of float8.
bool is_number(Dtype dtype);

// Casts packed elements as copy_elements.h says. The addresses need no alignment.
// REQUIRES: is_number of both, as many elements in `into` as in `elements`, nothing left over, no
// overlap.
void cast_numbers(Dtype from,
                  std::span<const std::byte> elements,
                  Dtype to,
                  std::span<std::byte> into);

// Negates packed elements in place: floats by their sign, integers modulo 2^bits. Those without
// negative values, bool and float8_e8m0fnu, stay what they are. REQUIRES: is_number.
void negate_numbers(Dtype dtype, std::span<std::byte> elements);

}  // namespace weightmap
