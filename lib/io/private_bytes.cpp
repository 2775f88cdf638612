// SPDX-License-Identifier: Apache-2.0
#include "io/private_bytes.h"

#include <sys/mman.h>

namespace weightmap::io {
namespace {

constexpr std::size_t kHugePageBytes = 2U << 20U;
constexpr std::align_val_t kUsual{64};
constexpr std::align_val_t kHuge{kHugePageBytes};

}  // namespace

PrivateBytes::PrivateBytes(std::size_t size)
    : data_(nullptr, Free{size < kHugePageBytes ? kUsual : kHuge}), size_(size) {
  const std::align_val_t alignment = data_.get_deleter().alignment;
  data_.reset(static_cast<std::byte*>(::operator new(size, alignment)));
  // A hint, of whole huge pages only: the last piece does not take another.
  const std::size_t whole = size - size % kHugePageBytes;
  if (whole > 0) ::madvise(data_.get(), whole, MADV_HUGEPAGE);
}

}  // namespace weightmap::io
