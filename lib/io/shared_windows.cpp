// SPDX-License-Identifier: Apache-2.0
#include "io/shared_windows.h"

#include <algorithm>
#include <cstring>

namespace weightmap::io {

std::uint64_t SharedWindows::end_of(std::uint64_t begin) const {
  return begin + std::min<std::uint64_t>(kWindowBytes, file_bytes_ - begin);
}

// Only the thread that brings the last byte takes the window out, and writes it without the lock.
Result<void> SharedWindows::add(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t begin = offset / kWindowBytes * kWindowBytes;
  const std::uint64_t size = end_of(begin) - begin;
  std::unique_lock lock(mutex_);
  Window& window = windows_[begin];
  if (!window.bytes) window.bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  std::memcpy(window.bytes.get() + (offset - begin), bytes.data(), bytes.size());
  window.filled_bytes += bytes.size();
  if (window.filled_bytes < size) return {};
  const auto complete = windows_.extract(begin);
  lock.unlock();
  return output_.write_at(begin, {complete.mapped().bytes.get(), size});
}

}  // namespace weightmap::io
