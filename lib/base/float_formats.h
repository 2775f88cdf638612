// SPDX-License-Identifier: Apache-2.0
// Floats shorter than float32: their bits to a float and back, one expression without branches, so
// that a loop over many of them becomes vector code. The layouts of 8 bits are those of PyTorch's
// torch/headeronly/util/Float8_*.h.
#pragma once

#include <bit>
#include <cstdint>

namespace weightmap {

inline constexpr std::uint32_t kFloatSign = 0x80000000U;
inline constexpr std::uint32_t kFloatInfinity = 0x7F800000U;
inline constexpr std::uint32_t kFloatQuietNan = 0x7FC00000U;
inline constexpr int kFloatMantissaBits = 23;
inline constexpr int kFloatBias = 127;

// Sign, exponent and mantissa; magnitudes are patterns without the sign.
template <typename BitsOfAll, int kBitsOfMantissa, int kBiasOfExponent>
struct FloatFormat {
  using Bits = BitsOfAll;
  static constexpr int kMantissaBits = kBitsOfMantissa;
  static constexpr int kBias = kBiasOfExponent;
  static constexpr std::uint32_t kSign = std::uint32_t{1} << (8 * sizeof(Bits) - 1);
};

struct Float16Format : FloatFormat<std::uint16_t, 10, 15> {
  static constexpr std::uint32_t kLargest = 0x7BFF;
  static constexpr std::uint32_t kBeyond = 0x7C00;  // what is too large becomes
  static constexpr std::uint32_t kFirstNan = 0x7C01;
  static constexpr std::uint32_t kNan = 0x7E00;  // that of casts
};

struct Float8E5M2Format : FloatFormat<std::uint8_t, 2, 15> {
  static constexpr std::uint32_t kLargest = 0x7B;
  static constexpr std::uint32_t kBeyond = 0x7C;
  static constexpr std::uint32_t kFirstNan = 0x7D;
  static constexpr std::uint32_t kNan = 0x7F;
};

struct Float8E4M3FNFormat : FloatFormat<std::uint8_t, 3, 7> {
  static constexpr std::uint32_t kLargest = 0x7E;
  static constexpr std::uint32_t kBeyond = 0x7E;  // no infinity
  static constexpr std::uint32_t kFirstNan = 0x7F;
  static constexpr std::uint32_t kNan = 0x7F;
};

// No infinity and no negative zero, whose bits are the only NaN.
template <int kBitsOfMantissa, int kBiasOfExponent>
struct FNUZFormat : FloatFormat<std::uint8_t, kBitsOfMantissa, kBiasOfExponent> {
  static constexpr std::uint32_t kLargest = 0x7F;
  static constexpr std::uint32_t kBeyond = 0x80;
  static constexpr std::uint32_t kNan = 0x80;
};

using Float8E5M2FNUZFormat = FNUZFormat<2, 16>;
using Float8E4M3FNUZFormat = FNUZFormat<3, 8>;

template <typename Format>
inline constexpr bool kHasNegativeZero = Format::kNan != Format::kSign;

// Divides by 2^shift, to nearest, ties to even. REQUIRES: 0 < shift < 32, no overflow.
constexpr std::uint32_t rounded_shift(std::uint32_t bits, int shift) {
  const std::uint32_t half = (1U << (shift - 1)) - 1;
  return (bits + half + ((bits >> shift) & 1U)) >> shift;
}

constexpr float power_of_two(int exponent) {  // of a normal float
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent + kFloatBias)
                              << kFloatMantissaBits);
}

// Exact; a NaN becomes quiet and keeps its sign and payload.
template <typename Format>
float widened(typename Format::Bits bits) {
  constexpr int kShift = kFloatMantissaBits - Format::kMantissaBits;
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(kFloatBias - Format::kBias)
                                    << kFloatMantissaBits;
  constexpr std::uint32_t kFirstNormal = 1U << Format::kMantissaBits;
  const std::uint32_t sign = (bits & Format::kSign) << std::countl_zero(Format::kSign);
  const std::uint32_t magnitude = bits & (Format::kSign - 1);
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) *
                          power_of_two(1 - Format::kBias - Format::kMantissaBits);
  std::uint32_t wide = magnitude < kFirstNormal ? std::bit_cast<std::uint32_t>(subnormal)
                                                : (magnitude << kShift) + kRebias;
  if constexpr (kHasNegativeZero<Format>) {
    constexpr bool kHasInfinity =
        Format::kFirstNan == Format::kBeyond + 1 && Format::kBeyond != Format::kLargest;
    if constexpr (kHasInfinity) wide = magnitude == Format::kBeyond ? kFloatInfinity : wide;
    wide = magnitude >= Format::kFirstNan ? kFloatQuietNan | magnitude << kShift : wide;
  } else {
    wide = bits == Format::kNan ? kFloatQuietNan : wide;
  }
  return std::bit_cast<float>(wide | sign);
}

// To the nearest, of two as near ones the even; subnormal numbers too.
template <typename Format>
typename Format::Bits narrowed(float value) {
  constexpr int kShift = kFloatMantissaBits - Format::kMantissaBits;
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(kFloatBias - Format::kBias)
                                    << kFloatMantissaBits;
  constexpr std::uint32_t kFirstNormal = kRebias + (1U << kFloatMantissaBits);
  // Adding it puts the last bit of a subnormal number at the last bit of the sum, which the
  // processor rounds as it should.
  constexpr float kAligner = power_of_two(1 - Format::kBias + kShift);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & ~kFloatSign;
  const float aligned = std::bit_cast<float>(magnitude) + kAligner;
  std::uint32_t narrow = magnitude < kFirstNormal ? std::bit_cast<std::uint32_t>(aligned) -
                                                        std::bit_cast<std::uint32_t>(kAligner)
                                                  : rounded_shift(magnitude - kRebias, kShift);
  narrow = narrow > Format::kLargest ? Format::kBeyond : narrow;
  narrow = magnitude > kFloatInfinity ? Format::kNan : narrow;
  std::uint32_t sign = (bits & kFloatSign) >> std::countl_zero(Format::kSign);
  if constexpr (!kHasNegativeZero<Format>) sign = narrow == 0 ? 0 : sign;
  return static_cast<typename Format::Bits>(narrow | sign);
}

// bfloat16: the upper half of a float.
inline float widened_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

inline std::uint16_t narrowed_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (bits & ~kFloatSign) > kFloatInfinity;
  return static_cast<std::uint16_t>(is_nan ? kFloatQuietNan >> 16U : rounded_shift(bits, 16));
}

// float8_e8m0fnu: eight bits of exponent and nothing else.
inline float widened_e8m0(std::uint8_t bits) {
  constexpr std::uint32_t kSmallest = 0x00400000;  // 2^-127
  const std::uint32_t exponent = static_cast<std::uint32_t>(bits) << kFloatMantissaBits;
  const std::uint32_t finite = bits == 0 ? kSmallest : exponent;
  return std::bit_cast<float>(bits == 0xFF ? kFloatQuietNan : finite);
}

// Without the sign, to the nearer power of two. In the middle PyTorch takes the larger one, but
// between 2^-127 and 2^-126 the smaller. Infinity and what is too large become NaN.
inline std::uint8_t narrowed_e8m0(float value) {
  constexpr std::uint32_t kHalf = 1U << (kFloatMantissaBits - 1);
  const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(value) & ~kFloatSign;
  const std::uint32_t exponent = magnitude >> kFloatMantissaBits;
  const std::uint32_t fraction = magnitude & (2 * kHalf - 1);
  const std::uint32_t most_that_goes_down = exponent == 0 ? kHalf : kHalf - 1;
  const std::uint32_t rounded = exponent + (fraction > most_that_goes_down ? 1 : 0);
  return static_cast<std::uint8_t>(exponent == 0xFF ? 0xFF : rounded);
}

}  // namespace weightmap
