// SPDX-License-Identifier: Apache-2.0
#include "convert/element_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/number_cast.h"

namespace weightmap::convert {
namespace {

constexpr std::size_t kPieceElements = 4096;

// What an element is made of: numbers or float4; none where the bits are no numbers.
ElementParts parts_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat4E2M1FNx2: return {dtype, 2};
    case Dtype::kBits1x8:
    case Dtype::kBits2x4:
    case Dtype::kBits4x2:
    case Dtype::kBits8:
    case Dtype::kBits16: return {dtype, 0};
    case Dtype::kQInt8:
    case Dtype::kInt1:
    case Dtype::kInt2:
    case Dtype::kInt3:
    case Dtype::kInt4:
    case Dtype::kInt5:
    case Dtype::kInt6:
    case Dtype::kInt7: return {Dtype::kInt8, 1};
    case Dtype::kQInt32: return {Dtype::kInt32, 1};
    case Dtype::kQUInt8:
    case Dtype::kQUInt4x2:
    case Dtype::kQUInt2x4:
    case Dtype::kUInt1:
    case Dtype::kUInt2:
    case Dtype::kUInt3:
    case Dtype::kUInt4:
    case Dtype::kUInt5:
    case Dtype::kUInt6:
    case Dtype::kUInt7: return {Dtype::kUInt8, 1};
    default: return parts_of_element(dtype);
  }
}

// What half a float4_e2m1fn_x2 stands for: OCP Microscaling Formats 1.0, table 5.
double float4_value(std::byte bits) {
  constexpr std::array<double, 8> kMagnitudes{0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const double magnitude = kMagnitudes[std::to_integer<std::size_t>(bits & std::byte{7})];
  return (bits & std::byte{8}) != std::byte{0} ? -magnitude : magnitude;
}

template <typename T>
T loaded(const std::byte* from) {
  T value{};
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
double distance(const std::byte* first, const std::byte* second) {
  const T a = loaded<T>(first);
  const T b = loaded<T>(second);
  const auto larger = static_cast<std::uint64_t>(std::max(a, b));
  const auto smaller = static_cast<std::uint64_t>(std::min(a, b));
  return static_cast<double>(larger - smaller);
}

template <typename T>
void mark(std::span<const std::byte> first,
          std::span<const std::byte> second,
          std::vector<std::uint8_t>& changed) {
  for (std::size_t i = 0; i < changed.size(); ++i) {
    const std::size_t at = i * sizeof(T);
    changed[i] = loaded<T>(first.data() + at) != loaded<T>(second.data() + at) ? 1 : 0;
  }
}

bool is_nan_among(std::span<const double> numbers) {
  return std::ranges::any_of(numbers, [](double number) { return std::isnan(number); });
}

}  // namespace

std::uint64_t compared_bytes(Dtype dtype) {
  return std::max<std::uint64_t>(1, dtype_info(dtype).element_bits / 8);
}

bool are_comparable(Dtype first, Dtype second) {
  const std::size_t numbers = parts_of(first).count;
  return first == second || (numbers != 0 && numbers == parts_of(second).count);
}

bool can_resolve(Dtype dtype) {
  return is_ieee_float(parts_of(dtype).dtype);
}

void resolve_signs(Dtype dtype, bool conj, bool neg, std::span<std::byte> elements) {
  const ElementParts parts = parts_of(dtype);
  const std::size_t part_bytes = dtype_info(parts.dtype).element_bits / 8;
  for (std::size_t part = 0; part * part_bytes < elements.size(); ++part) {
    const bool is_imaginary = parts.count == 2 && part % 2 == 1;
    if (neg == (conj && is_imaginary)) continue;
    elements[(part + 1) * part_bytes - 1] ^= std::byte{0x80};
  }
}

void ElementComparison::Numbers::decode(std::span<const std::byte> elements) {
  const Dtype part = parts_of(dtype).dtype;
  if (part == Dtype::kFloat4E2M1FNx2) {
    values.clear();
    for (const std::byte pair : elements) {
      values.push_back(float4_value(pair));
      values.push_back(float4_value(pair >> 4U));
    }
    return;
  }
  values.resize(elements.size() / (dtype_info(part).element_bits / 8));
  cast_numbers(part, elements, Dtype::kFloat64, std::as_writable_bytes(std::span(values)));
}

ElementComparison::ElementComparison(Dtype first, Dtype second)
    : first_{first}, second_{second}, parts_(parts_of(first).count) {}

void ElementComparison::add(std::span<const std::byte> first, std::span<const std::byte> second) {
  const std::size_t first_bytes = compared_bytes(first_.dtype);
  const std::size_t second_bytes = compared_bytes(second_.dtype);
  for (std::size_t left = first.size() / first_bytes; left > 0;) {
    const std::size_t count = std::min(left, kPieceElements);
    add_piece(first.first(count * first_bytes), second.first(count * second_bytes));
    first = first.subspan(count * first_bytes);
    second = second.subspan(count * second_bytes);
    left -= count;
  }
}

void ElementComparison::add_piece(std::span<const std::byte> first,
                                  std::span<const std::byte> second) {
  const std::size_t first_bytes = compared_bytes(first_.dtype);
  const std::size_t second_bytes = compared_bytes(second_.dtype);
  const std::size_t count = first.size() / first_bytes;
  changes_.elements += count;
  const bool is_same_dtype = first_.dtype == second_.dtype;
  if (is_same_dtype && std::memcmp(first.data(), second.data(), first.size()) == 0) return;
  if (parts_ != 0) {
    first_.decode(first);
    second_.decode(second);
  }
  changed_.assign(count, 0);
  is_same_dtype ? mark_bits(first, second) : mark_numbers();
  for (std::size_t i = 0; i < count; ++i) {
    if (changed_[i] == 0) continue;
    note(i, first.data() + i * first_bytes, second.data() + i * second_bytes);
  }
}

void ElementComparison::mark_bits(std::span<const std::byte> first,
                                  std::span<const std::byte> second) {
  switch (compared_bytes(first_.dtype)) {
    case 1: return mark<std::uint8_t>(first, second, changed_);
    case 2: return mark<std::uint16_t>(first, second, changed_);
    case 4: return mark<std::uint32_t>(first, second, changed_);
    case 8: return mark<std::uint64_t>(first, second, changed_);
    default: return mark<std::array<std::uint64_t, 2>>(first, second, changed_);
  }
}

void ElementComparison::mark_numbers() {
  for (std::size_t i = 0; i < first_.values.size(); ++i) {
    const double a = first_.values[i];
    const double b = second_.values[i];
    if (a != b && !(std::isnan(a) && std::isnan(b))) changed_[i / parts_] = 1;
  }
}

void ElementComparison::note(std::size_t element, const std::byte* first, const std::byte* second) {
  ++changes_.changed;
  if (parts_ == 0) return;
  const auto a = std::span(first_.values).subspan(element * parts_, parts_);
  const auto b = std::span(second_.values).subspan(element * parts_, parts_);
  const bool first_nan = is_nan_among(a);
  const bool second_nan = is_nan_among(b);
  changes_.nan_only_in_first += first_nan && !second_nan ? 1 : 0;
  changes_.nan_only_in_second += second_nan && !first_nan ? 1 : 0;
  // Doubles do not hold every integer of 64 bits.
  const bool is_same_dtype = first_.dtype == second_.dtype;
  for (std::size_t i = 0; i < parts_; ++i) {
    double difference = a[i] == b[i] ? 0 : std::abs(a[i] - b[i]);
    if (is_same_dtype && first_.dtype == Dtype::kInt64) {
      difference = distance<std::int64_t>(first, second);
    } else if (is_same_dtype && first_.dtype == Dtype::kUInt64) {
      difference = distance<std::uint64_t>(first, second);
    }
    if (!std::isnan(difference))
      changes_.largest = std::max(difference, changes_.largest.value_or(0));
  }
}

}  // namespace weightmap::convert
