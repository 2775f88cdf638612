// SPDX-License-Identifier: Apache-2.0
#include "base/strided.h"

#include <algorithm>

#include "base/checked.h"

namespace weightmap {
namespace {

bool has_no_elements(std::span<const std::int64_t> shape) {
  return std::ranges::find(shape, 0) != shape.end();
}

// How many elements after the first the last one lies.
std::optional<std::uint64_t> checked_reach(std::span<const std::int64_t> shape,
                                           std::span<const std::int64_t> strides) {
  std::uint64_t reach = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto step = checked_mul(static_cast<std::uint64_t>(shape[i] - 1),
                                  static_cast<std::uint64_t>(strides[i]));
    const auto sum = step ? checked_add(reach, *step) : std::nullopt;
    if (!sum) return std::nullopt;
    reach = *sum;
  }
  return reach;
}

}  // namespace

std::uint64_t addressed_bytes(Dtype dtype) {
  return std::max<std::uint64_t>(1, dtype_info(dtype).element_bits / 8);
}

std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape) {
  if (has_no_elements(shape)) return 0;
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    const auto product = checked_mul(count, size);
    if (!product) return std::nullopt;
    count = *product;
  }
  return count;
}

std::optional<std::uint64_t> checked_extent_bytes(Dtype dtype,
                                                  std::span<const std::int64_t> shape,
                                                  std::span<const std::int64_t> strides) {
  if (has_no_elements(shape)) return 0;
  const auto reach = checked_reach(shape, strides);
  const auto elements = reach ? checked_add<std::uint64_t>(*reach, 1) : std::nullopt;
  if (!elements) return std::nullopt;
  const auto bits =
      checked_mul<std::uint64_t>(*elements, std::uint64_t{dtype_info(dtype).element_bits});
  if (!bits) return std::nullopt;
  return *bits / 8 + (*bits % 8 != 0 ? 1 : 0);
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
