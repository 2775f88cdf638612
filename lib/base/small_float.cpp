// SPDX-License-Identifier: Apache-2.0
// The layouts are those of PyTorch's c10/util/Float8_*.h; those with `n` have no infinities, those
// with `uz` no negative zero, whose bits are their only NaN.
#include "base/small_float.h"

#include <cmath>
#include <limits>

namespace weightmap {
namespace {

enum class Specials : std::uint8_t {
  kNone,     // every pattern is a number
  kIeee,     // the largest exponent is infinity and NaN
  kLastNan,  // all ones but the sign is NaN
  kZeroNan,  // the negative zero is NaN
};

struct SmallFloat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Specials specials;
};

SmallFloat layout_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat8E5M2: return {5, 2, 15, Specials::kIeee};
    case Dtype::kFloat8E4M3FN: return {4, 3, 7, Specials::kLastNan};
    case Dtype::kFloat8E5M2FNUZ: return {5, 2, 16, Specials::kZeroNan};
    case Dtype::kFloat8E4M3FNUZ: return {4, 3, 8, Specials::kZeroNan};
    default: return {2, 1, 1, Specials::kNone};
  }
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Eight bits of exponent and nothing else.
float e8m0_value(std::uint8_t bits) {
  return bits == 0xFF ? kNan : std::ldexp(1.0F, bits - 127);
}

}  // namespace

bool is_small_float(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat8E5M2:
    case Dtype::kFloat8E4M3FN:
    case Dtype::kFloat8E5M2FNUZ:
    case Dtype::kFloat8E4M3FNUZ:
    case Dtype::kFloat8E8M0FNU:
    case Dtype::kFloat4E2M1FNx2: return true;
    default: return false;
  }
}

float small_float_value(Dtype dtype, std::uint8_t bits) {
  if (dtype == Dtype::kFloat8E8M0FNU) return e8m0_value(bits);
  const SmallFloat layout = layout_of(dtype);
  const int largest_exponent = (1 << layout.exponent_bits) - 1;
  const int largest_mantissa = (1 << layout.mantissa_bits) - 1;
  const int mantissa = bits & largest_mantissa;
  const int exponent = (bits >> layout.mantissa_bits) & largest_exponent;
  const bool is_negative = (bits >> (layout.mantissa_bits + layout.exponent_bits) & 1) != 0;
  const bool is_last = exponent == largest_exponent && mantissa == largest_mantissa;
  const bool is_zero = exponent == 0 && mantissa == 0;
  if (layout.specials == Specials::kLastNan && is_last) return kNan;
  if (layout.specials == Specials::kZeroNan && is_zero && is_negative) return kNan;
  float magnitude = 0;
  if (layout.specials == Specials::kIeee && exponent == largest_exponent) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity() : kNan;
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), 1 - layout.bias - layout.mantissa_bits);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + largest_mantissa + 1),
                           exponent - layout.bias - layout.mantissa_bits);
  }
  return is_negative ? -magnitude : magnitude;
}

}  // namespace weightmap
