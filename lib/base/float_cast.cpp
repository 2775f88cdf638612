// SPDX-License-Identifier: Apache-2.0
#include "base/float_cast.h"

#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>

namespace weightmap {
namespace {

constexpr std::uint32_t kFloatSign = 0x80000000U;
constexpr std::uint32_t kFloatInfinity = 0x7F800000U;

// Divides by 2^shift, to nearest, ties to even. REQUIRES: 0 < shift < 32, no overflow.
constexpr std::uint32_t rounded_shift(std::uint32_t bits, unsigned shift) {
  const std::uint32_t half = (1U << (shift - 1)) - 1;
  return (bits + half + ((bits >> shift) & 1U)) >> shift;
}

float widen(Float16 from) {
  const std::uint32_t sign = (from.bits & 0x8000U) << 16U;
  const std::uint32_t magnitude = from.bits & 0x7FFFU;
  constexpr std::uint32_t kInfinity = 0x7C00;
  if (magnitude >= kInfinity) {
    const std::uint32_t payload = (magnitude & 0x3FFU) << 13U;
    const std::uint32_t quiet = payload != 0 ? 0x400000U : 0U;
    return std::bit_cast<float>(sign | kFloatInfinity | quiet | payload);
  }
  // As an integer, the magnitude of a half is 2^-14-scaled in the exponent's field: one product
  // sets both exponent and subnormal values right.
  const float scaled = std::bit_cast<float>(magnitude << 13U) * 0x1p112F;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

float widen(BFloat16 from) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(from.bits) << 16U);
}

float widen(float from) {
  return from;
}

float widen(double from) {
  return static_cast<float>(from);
}

void narrow(float from, Float16& into) {
  const auto bits = std::bit_cast<std::uint32_t>(from);
  const auto sign = static_cast<std::uint16_t>((bits & kFloatSign) >> 16U);
  const std::uint32_t magnitude = bits & ~kFloatSign;
  constexpr std::uint32_t kFirstTooLarge = 0x47800000;  // 2^16
  constexpr std::uint32_t kFirstNormal = 0x38800000;    // 2^-14
  std::uint32_t half = 0;
  if (magnitude > kFloatInfinity) {
    half = 0x7E00;
  } else if (magnitude >= kFirstTooLarge) {
    half = 0x7C00;
  } else if (magnitude >= kFirstNormal) {
    half = rounded_shift(magnitude - (112U << 23U), 13);
  } else {
    // Adding 0.5 puts the last bit of a subnormal half at the last bit of the sum, which the
    // processor rounds as it should.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    half = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F);
  }
  into.bits = static_cast<std::uint16_t>(sign | half);
}

void narrow(float from, BFloat16& into) {
  const auto bits = std::bit_cast<std::uint32_t>(from);
  const bool is_nan = (bits & ~kFloatSign) > kFloatInfinity;
  into.bits = static_cast<std::uint16_t>(is_nan ? 0x7FC0U : rounded_shift(bits, 16));
}

void narrow(float from, float& into) {
  into = from;
}

void narrow(float from, double& into) {
  into = from;
}

template <typename From, typename To>
void cast(std::span<const std::byte> elements, std::span<std::byte> into) {
  assert(elements.size() / sizeof(From) == into.size() / sizeof(To));
  for (std::size_t i = 0; i < into.size() / sizeof(To); ++i) {
    From element{};
    std::memcpy(&element, elements.data() + i * sizeof(From), sizeof(From));
    To result{};
    narrow(widen(element), result);
    std::memcpy(into.data() + i * sizeof(To), &result, sizeof(To));
  }
}

template <typename From>
void cast_from(std::span<const std::byte> elements, Dtype to, std::span<std::byte> into) {
  switch (to) {
    case Dtype::kFloat16: return cast<From, Float16>(elements, into);
    case Dtype::kBFloat16: return cast<From, BFloat16>(elements, into);
    case Dtype::kFloat32: return cast<From, float>(elements, into);
    default: return cast<From, double>(elements, into);
  }
}

}  // namespace

bool is_ieee_float(Dtype dtype) {
  return dtype == Dtype::kFloat16 || dtype == Dtype::kBFloat16 || dtype == Dtype::kFloat32 ||
         dtype == Dtype::kFloat64;
}

void cast_floats(Dtype from,
                 std::span<const std::byte> elements,
                 Dtype to,
                 std::span<std::byte> into) {
  assert(is_ieee_float(from) && is_ieee_float(to));
  if (from == to) {
    std::memcpy(into.data(), elements.data(), into.size());
    return;
  }
  switch (from) {
    case Dtype::kFloat16: return cast_from<Float16>(elements, to, into);
    case Dtype::kBFloat16: return cast_from<BFloat16>(elements, to, into);
    case Dtype::kFloat32: return cast_from<float>(elements, to, into);
    default: return cast_from<double>(elements, to, into);
  }
}

}  // namespace weightmap
