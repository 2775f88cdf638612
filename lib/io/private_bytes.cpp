// SPDX-License-Identifier: Apache-2.0
#include "io/private_bytes.h"

#include <sys/mman.h>

namespace weightmap::io {
namespace {

constexpr std::size_t kHugePageBytes = 2U << 20U;

}  // namespace

PrivateBytes::PrivateBytes(std::size_t size, std::size_t alignment_bytes)
    : data_(nullptr,
            Free{std::align_val_t{size < kHugePageBytes ? alignment_bytes : kHugePageBytes}}),
      size_(size) {
  const std::align_val_t alignment = data_.get_deleter().alignment;
  data_.reset(static_cast<std::byte*>(::operator new(size, alignment)));
  // A hint, of whole huge pages only: the last piece does not take another.
  const std::size_t whole = size - size % kHugePageBytes;
  if (whole > 0) ::madvise(data_.get(), whole, MADV_HUGEPAGE);
}

}  // namespace weightmap::io
