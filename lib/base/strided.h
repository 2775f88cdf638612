// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "weightmap/dtype.h"

namespace weightmap {

// What offsets into a tensor's bytes are multiples of: an element, or a byte of shorter ones.
std::uint64_t addressed_bytes(Dtype dtype);

// Number of elements of a shape; nothing when it is 2^63 or more. REQUIRES: no negative size.
std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape);

// Bytes from the first to the last that an element touches, 0 when there are no elements; nothing
// when their bits are 2^64 or more. REQUIRES: shape and strides of one length, nothing negative.
std::optional<std::uint64_t> checked_extent_bytes(Dtype dtype,
                                                  std::span<const std::int64_t> shape,
                                                  std::span<const std::int64_t> strides);

// The strides of a row-major tensor without gaps, as PyTorch gives them: a dimension of size 0
// counts as one of 1. Nothing when one is 2^63 or more. REQUIRES: no negative size.
std::optional<std::vector<std::int64_t>> checked_contiguous_strides(
    std::span<const std::int64_t> shape);

// Row-major without gaps. As in PyTorch, the stride of a dimension of size 1 does not count, and
// what has no elements is contiguous.
bool is_contiguous(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides);

}  // namespace weightmap
