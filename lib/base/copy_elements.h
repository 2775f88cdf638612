// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weightmap/dtype.h"

namespace weightmap {

// Elements to read. Strides count elements and are not negative; one of 0 repeats an element.
// `data` is the first element, at any address.
struct ElementSource {
  Dtype dtype = Dtype::kFloat32;
  std::span<const std::int64_t> shape;
  std::span<const std::int64_t> strides;
  const std::byte* data = nullptr;
  bool conj = false;  // values are the conjugates of what is stored
  bool neg = false;   // values are the negatives of what is stored
};

// Where they go, in the shape of the source.
struct ElementTarget {
  Dtype dtype = Dtype::kFloat32;
  std::span<const std::int64_t> strides;
  std::byte* data = nullptr;
};

// Whether elements of one dtype can become another's. Any number or pair of numbers becomes any
// other: bool, integers of 8 to 64 bits, float16, bfloat16, float32, float64, the kinds of float8,
// complex dtypes. Other dtypes (bits, float4, quantized and sub-byte integers) only become
// themselves, byte for byte, when an element is whole bytes: what gives quantized integers their
// meaning is not an element's affair.
bool can_copy(Dtype from, Dtype to);

// Copies and casts as PyTorch's `target.copy_(source)` on a CPU does:
// - Equal dtypes: bytes, whatever they are.
// - Integers to integers: modulo 2^bits. To bool: whether it is not 0; NaN is not.
// - To floats: to the nearest, ties to even. float16, bfloat16 and float8 are made from float32:
//   what comes from float64 or long integers is rounded twice.
// - Beyond the largest: infinity; float8_e4m3fn: the largest, also for infinity;
//   float8_e5m2fnuz, _e4m3fnuz and _e8m0fnu: NaN. float8_e8m0fnu has neither sign nor zero: the
//   magnitude counts, and 0 becomes 2^-127.
// - Complex to real: the real part; to bool: whether either part is not 0. Real to complex: the
//   imaginary part is 0.
// - conj and neg: the signs of the result are turned, after the cast. So negated integers wrap in
//   the target's width; bool and float8_e8m0fnu, without negative values, stay.
//
// Where C++ leaves the result open, always the following, which is also PyTorch's on x86 where
// its vector and scalar code agree:
// - Floats to integers: towards zero. For int8, int16, uint16 and int32 by way of int32, for
//   uint8, uint32 and int64 by way of int64, and then modulo 2^bits: what does not fit the way's
//   type, NaN too, is its smallest number. uint64: from 2^63 to 2^64 itself, from 2^64 on 0, below
//   as int64.
// - A NaN that becomes longer is quiet and keeps sign and payload (bfloat16's its bits); one that
//   becomes shorter is the quiet one: of float16, float8_e5m2 and float8_e4m3fn with its sign, of
//   the others without. float32 and float64: as the processor converts them.
//
// Allocates in proportion to the rank only. REQUIRES: can_copy, strides as many as sizes, data that
// reach as far as these say; the two do not overlap, nor do elements of the target.
void copy_elements(const ElementSource& from, const ElementTarget& to);

}  // namespace weightmap
