// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "weightmap/result.h"
#include "weightmap/tensor_view.h"

namespace weightmap::convert {

struct StridedCopyLimits {
  static constexpr std::size_t kBlockBytes = std::size_t{8}
                                             << 20U;  // of what is read, and of what is put
  // A range is read whole when so much of it is wanted; else piece by piece.
  static constexpr std::uint64_t kSparsest = 8;
  static constexpr std::uint64_t kSmallReadBytes = 4096;
};

// Fills the span with bytes from so far behind the tensor's first element.
using ReadExtent = std::function<Result<void>(std::uint64_t offset_bytes, std::span<std::byte>)>;
using PutBytes = std::function<Result<void>(std::span<const std::byte>)>;

// Puts a tensor's elements in row-major order, reading with any strides in two blocks of memory,
// whatever its size. REQUIRES: elements of whole bytes, at most a block.
// Errors: those of the two functions.
Result<void> copy_row_major(const TensorView& tensor, const ReadExtent& read, const PutBytes& put);

}  // namespace weightmap::convert
