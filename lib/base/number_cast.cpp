// SPDX-License-Identifier: Apache-2.0
// A number is widened to one of five types, from there to that which its target is made from, and
// narrowed: a few loops for each dtype rather than one for each pair.
#include "base/number_cast.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/float_formats.h"

namespace weightmap {
namespace {

constexpr std::size_t kBlockNumbers = 512;
constexpr std::size_t kWideBytes = 8;

using Kernel = void (*)(const std::byte* from, std::size_t count, std::byte* into);

template <typename From, typename To, To (*kConvert)(From)>
void convert_each(const std::byte* from, std::size_t count, std::byte* into) {
  for (std::size_t i = 0; i < count; ++i) {
    From value{};
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    const To result = kConvert(value);
    std::memcpy(into + i * sizeof(To), &result, sizeof(To));
  }
}

template <typename From, typename To>
To plain_cast(From value) {
  return static_cast<To>(value);
}

template <typename From, typename To>
To truth(From value) {
  return value != 0 ? 1 : 0;
}

// Towards zero; the smallest integer instead of what `To` cannot hold, as x86's instructions have
// it. The comparison comes first and the conversion always happens: so both can be vector code.
template <typename To, typename From>
To truncated(From value) {
  constexpr auto kSmallest = std::numeric_limits<To>::min();
  constexpr auto kLowest = static_cast<From>(kSmallest);
  const bool fits = value >= kLowest && value < -kLowest;
  const To whole = static_cast<To>(fits ? value : From{0});
  return fits ? whole : kSmallest;
}

template <typename From>
std::uint64_t truncated_unsigned(From value) {
  constexpr From kMiddle = 9223372036854775808.0;  // 2^63
  if (value >= 2 * kMiddle) return 0;
  if (value >= kMiddle) return static_cast<std::uint64_t>(value);
  return static_cast<std::uint64_t>(truncated<std::int64_t>(value));
}

template <typename From, typename To>
To to_integer(From value) {
  if constexpr (std::is_integral_v<From>) {
    return static_cast<To>(value);
  } else if constexpr (std::is_same_v<To, std::uint64_t>) {
    return truncated_unsigned(value);
  } else if constexpr (std::is_same_v<To, std::uint8_t> || std::is_same_v<To, std::uint32_t> ||
                       std::is_same_v<To, std::int64_t>) {
    return static_cast<To>(truncated<std::int64_t>(value));
  } else {
    return static_cast<To>(truncated<std::int32_t>(value));
  }
}

// The type to which a number is widened: int32, int64, uint64, float32 or float64 itself.
Dtype wide_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
    case Dtype::kUInt8:
    case Dtype::kInt8:
    case Dtype::kUInt16:
    case Dtype::kInt16:
    case Dtype::kInt32: return Dtype::kInt32;
    case Dtype::kUInt32:
    case Dtype::kInt64: return Dtype::kInt64;
    case Dtype::kUInt64:
    case Dtype::kFloat64: return dtype;
    default: return Dtype::kFloat32;
  }
}

// Null for those that are wide.
Kernel widening(Dtype from) {
  switch (from) {
    case Dtype::kBool: return convert_each<std::uint8_t, std::int32_t, truth>;
    case Dtype::kUInt8: return convert_each<std::uint8_t, std::int32_t, plain_cast>;
    case Dtype::kInt8: return convert_each<std::int8_t, std::int32_t, plain_cast>;
    case Dtype::kUInt16: return convert_each<std::uint16_t, std::int32_t, plain_cast>;
    case Dtype::kInt16: return convert_each<std::int16_t, std::int32_t, plain_cast>;
    case Dtype::kUInt32: return convert_each<std::uint32_t, std::int64_t, plain_cast>;
    case Dtype::kFloat16: return convert_each<std::uint16_t, float, widened<Float16Format>>;
    case Dtype::kBFloat16: return convert_each<std::uint16_t, float, widened_bfloat16>;
    case Dtype::kFloat8E5M2: return convert_each<std::uint8_t, float, widened<Float8E5M2Format>>;
    case Dtype::kFloat8E4M3FN:
      return convert_each<std::uint8_t, float, widened<Float8E4M3FNFormat>>;
    case Dtype::kFloat8E5M2FNUZ:
      return convert_each<std::uint8_t, float, widened<Float8E5M2FNUZFormat>>;
    case Dtype::kFloat8E4M3FNUZ:
      return convert_each<std::uint8_t, float, widened<Float8E4M3FNUZFormat>>;
    case Dtype::kFloat8E8M0FNU: return convert_each<std::uint8_t, float, widened_e8m0>;
    default: return nullptr;
  }
}

// From float32 to those that are made from nothing else; null for the others.
Kernel float_narrowing(Dtype to) {
  switch (to) {
    case Dtype::kFloat16: return convert_each<float, std::uint16_t, narrowed<Float16Format>>;
    case Dtype::kBFloat16: return convert_each<float, std::uint16_t, narrowed_bfloat16>;
    case Dtype::kFloat8E5M2: return convert_each<float, std::uint8_t, narrowed<Float8E5M2Format>>;
    case Dtype::kFloat8E4M3FN:
      return convert_each<float, std::uint8_t, narrowed<Float8E4M3FNFormat>>;
    case Dtype::kFloat8E5M2FNUZ:
      return convert_each<float, std::uint8_t, narrowed<Float8E5M2FNUZFormat>>;
    case Dtype::kFloat8E4M3FNUZ:
      return convert_each<float, std::uint8_t, narrowed<Float8E4M3FNUZFormat>>;
    case Dtype::kFloat8E8M0FNU: return convert_each<float, std::uint8_t, narrowed_e8m0>;
    default: return nullptr;
  }
}

// From a wide type to all other targets.
template <typename Wide>
Kernel narrowing(Dtype to) {
  switch (to) {
    case Dtype::kBool: return convert_each<Wide, std::uint8_t, truth>;
    case Dtype::kUInt8: return convert_each<Wide, std::uint8_t, to_integer>;
    case Dtype::kInt8: return convert_each<Wide, std::int8_t, to_integer>;
    case Dtype::kUInt16: return convert_each<Wide, std::uint16_t, to_integer>;
    case Dtype::kInt16: return convert_each<Wide, std::int16_t, to_integer>;
    case Dtype::kUInt32: return convert_each<Wide, std::uint32_t, to_integer>;
    case Dtype::kInt32: return convert_each<Wide, std::int32_t, to_integer>;
    case Dtype::kUInt64: return convert_each<Wide, std::uint64_t, to_integer>;
    case Dtype::kInt64: return convert_each<Wide, std::int64_t, to_integer>;
    case Dtype::kFloat64: return convert_each<Wide, double, plain_cast>;
    default: return convert_each<Wide, float, plain_cast>;
  }
}

Kernel narrowing_from(Dtype wide, Dtype to) {
  switch (wide) {
    case Dtype::kInt32: return narrowing<std::int32_t>(to);
    case Dtype::kInt64: return narrowing<std::int64_t>(to);
    case Dtype::kUInt64: return narrowing<std::uint64_t>(to);
    case Dtype::kFloat32: return narrowing<float>(to);
    default: return narrowing<double>(to);
  }
}

// One behind the other; none when the bits stay the same.
class Steps {
 public:
  Steps(Dtype from, Dtype to) {
    if (from == to) return;
    const Dtype wide = wide_type(from);
    if (const Kernel widen = widening(from)) add(widen);
    if (wide == to) return;
    const Kernel narrow = float_narrowing(to);
    if (narrow == nullptr) {
      add(narrowing_from(wide, to));
    } else {
      if (wide != Dtype::kFloat32) add(narrowing_from(wide, Dtype::kFloat32));
      add(narrow);
    }
  }

  std::size_t count() const { return count_; }

  // REQUIRES: count() > 0, numbers <= kBlockNumbers.
  void run(const std::byte* from, std::size_t numbers, std::byte* into) const {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): written before it is read
    std::array<std::array<std::byte, kBlockNumbers * kWideBytes>, 2> between;
    for (std::size_t i = 0; i < count_; ++i) {
      std::byte* target = i + 1 == count_ ? into : between[i].data();
      kernels_[i](from, numbers, target);
      from = target;
    }
  }

 private:
  void add(Kernel kernel) { kernels_[count_++] = kernel; }

  std::array<Kernel, 3> kernels_{};
  std::size_t count_ = 0;
};

template <typename Bits>
Bits negated_integer(Bits bits) {
  return static_cast<Bits>(0U - bits);
}

template <typename Bits>
Bits negated_float(Bits bits) {
  constexpr auto kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  return static_cast<Bits>(bits ^ kSign);
}

// Zero and NaN are the two that have no other of the opposite sign.
std::uint8_t negated_fnuz(std::uint8_t bits) {
  return (bits & 0x7FU) == 0 ? bits : negated_float(bits);
}

Kernel negation(Dtype dtype) {
  using std::uint16_t;
  using std::uint32_t;
  using std::uint64_t;
  using std::uint8_t;
  switch (dtype) {
    case Dtype::kUInt8:
    case Dtype::kInt8: return convert_each<uint8_t, uint8_t, negated_integer<uint8_t>>;
    case Dtype::kUInt16:
    case Dtype::kInt16: return convert_each<uint16_t, uint16_t, negated_integer<uint16_t>>;
    case Dtype::kUInt32:
    case Dtype::kInt32: return convert_each<uint32_t, uint32_t, negated_integer<uint32_t>>;
    case Dtype::kUInt64:
    case Dtype::kInt64: return convert_each<uint64_t, uint64_t, negated_integer<uint64_t>>;
    case Dtype::kFloat8E5M2:
    case Dtype::kFloat8E4M3FN: return convert_each<uint8_t, uint8_t, negated_float<uint8_t>>;
    case Dtype::kFloat8E5M2FNUZ:
    case Dtype::kFloat8E4M3FNUZ: return convert_each<uint8_t, uint8_t, negated_fnuz>;
    case Dtype::kFloat16:
    case Dtype::kBFloat16: return convert_each<uint16_t, uint16_t, negated_float<uint16_t>>;
    case Dtype::kFloat32: return convert_each<uint32_t, uint32_t, negated_float<uint32_t>>;
    case Dtype::kFloat64: return convert_each<uint64_t, uint64_t, negated_float<uint64_t>>;
    default: return nullptr;
  }
}

}  // namespace

bool is_ieee_float(Dtype dtype) {
  return dtype == Dtype::kFloat16 || dtype == Dtype::kBFloat16 || dtype == Dtype::kFloat32 ||
         dtype == Dtype::kFloat64;
}

ElementParts parts_of_element(Dtype dtype) {
  switch (dtype) {
    case Dtype::kComplex32: return {Dtype::kFloat16, 2};
    case Dtype::kBComplex32: return {Dtype::kBFloat16, 2};
    case Dtype::kComplex64: return {Dtype::kFloat32, 2};
    case Dtype::kComplex128: return {Dtype::kFloat64, 2};
    default: return {dtype, 1};
  }
}

bool is_number(Dtype dtype) {
  return dtype == Dtype::kBool || dtype == Dtype::kFloat8E8M0FNU || negation(dtype) != nullptr;
}

void cast_numbers(Dtype from,
                  std::span<const std::byte> elements,
                  Dtype to,
                  std::span<std::byte> into) {
  assert(is_number(from) && is_number(to));
  const std::size_t from_bytes = dtype_info(from).element_bits / 8;
  const std::size_t to_bytes = dtype_info(to).element_bits / 8;
  const std::size_t count = into.size() / to_bytes;
  assert(elements.size() == count * from_bytes && into.size() == count * to_bytes);
  const Steps steps(from, to);
  if (steps.count() == 0) {
    std::memcpy(into.data(), elements.data(), into.size());
    return;
  }
  for (std::size_t done = 0; done < count; done += kBlockNumbers) {
    const std::size_t numbers = std::min(kBlockNumbers, count - done);
    steps.run(elements.data() + done * from_bytes, numbers, into.data() + done * to_bytes);
  }
}

void negate_numbers(Dtype dtype, std::span<std::byte> elements) {
  const std::size_t count = elements.size() / (dtype_info(dtype).element_bits / 8);
  if (const Kernel negate = negation(dtype)) negate(elements.data(), count, elements.data());
}

}  // namespace weightmap
