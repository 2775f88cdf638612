// SPDX-License-Identifier: Apache-2.0
#include "base/strided.h"

#include <algorithm>

#include "base/checked.h"

namespace weightmap {
namespace {

bool has_no_elements(std::span<const std::int64_t> shape) {
  return std::ranges::find(shape, 0) != shape.end();
}

}  // namespace

std::uint64_t addressed_bytes(Dtype dtype) {
  return std::max<std::uint64_t>(1, dtype_info(dtype).element_bits / 8);
}

// These two run for every tensor of a file that is opened: overflows are gathered, not branched on.
// A size of 0 makes up for any of them.
std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  bool is_too_large = false;
  bool is_empty = false;
  for (const std::int64_t size : shape) {
    is_too_large |= __builtin_mul_overflow(count, size, &count);
    is_empty |= size == 0;
  }
  if (is_empty) return 0;
  return is_too_large ? std::nullopt : std::optional(count);
}

std::optional<std::uint64_t> checked_extent_bytes(Dtype dtype,
                                                  std::span<const std::int64_t> shape,
                                                  std::span<const std::int64_t> strides) {
  std::uint64_t elements = 1;  // from the first one to the last
  bool is_too_large = false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return 0;
    std::uint64_t step = 0;
    is_too_large |= __builtin_mul_overflow(static_cast<std::uint64_t>(shape[i] - 1),
                                           static_cast<std::uint64_t>(strides[i]), &step);
    is_too_large |= __builtin_add_overflow(elements, step, &elements);
  }
  std::uint64_t bits = 0;
  is_too_large |=
      __builtin_mul_overflow(elements, std::uint64_t{dtype_info(dtype).element_bits}, &bits);
  if (is_too_large) return std::nullopt;
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
}

std::optional<std::vector<std::int64_t>> checked_contiguous_strides(
    std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    if (i == 0) break;
    const auto next = checked_mul(stride, std::max<std::int64_t>(shape[i], 1));
    if (!next) return std::nullopt;
    stride = *next;
  }
  return strides;
}

bool is_contiguous(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  std::optional<std::int64_t> expected = 1;  // nothing: more than a stride can be
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1) continue;
    if (expected != strides[i]) return has_no_elements(shape);
    expected = checked_mul(*expected, shape[i]);
  }
  return true;
}

}  // namespace weightmap
