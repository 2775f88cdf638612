// SPDX-License-Identifier: Apache-2.0
#include "io/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weightmap::io {
namespace {

constexpr std::size_t kFirstBytes = 4U << 10U;
constexpr std::size_t kSmallBytes = 16U << 10U;  // beyond it a piece is worth a call of its own
constexpr std::uint64_t kNearBytes = 4U << 10U;  // beyond it a gap costs more than a call

}  // namespace

Result<void> ReadAhead::read_at(const File& file, std::uint64_t offset, std::span<std::byte> into) {
  const bool is_worth_it = into.size() <= kSmallBytes && is_near(file, offset);
  if (!is_worth_it) ahead_bytes_ = 0;
  if (std::exchange(file_, &file) != &file) held_bytes_ = 0;
  last_end_ = offset + into.size();
  if (!is_worth_it) return file.read_at(offset, into);
  if (!holds(offset, into.size()) && !fill(file, offset, into.size())) {
    return file.read_at(offset, into);
  }
  std::memcpy(into.data(), window_.get() + (offset - begin_), into.size());
  return {};
}

bool ReadAhead::is_near(const File& file, std::uint64_t offset) const {
  return file_ == &file && offset >= last_end_ && offset - last_end_ <= kNearBytes;
}

bool ReadAhead::holds(std::uint64_t offset, std::size_t size) const {
  return offset >= begin_ && offset - begin_ <= held_bytes_ &&
         size <= held_bytes_ - (offset - begin_);
}

// Twice as far as the last time. False where the file ends before, or cannot be read so far: the
// piece alone may still be there, or its error is the one to tell.
bool ReadAhead::fill(const File& file, std::uint64_t offset, std::size_t at_least) {
  ahead_bytes_ = std::clamp(ahead_bytes_ * 2, kFirstBytes, kWindowBytes);
  if (offset >= file.size_bytes()) return false;
  const auto size = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max(ahead_bytes_, at_least), file.size_bytes() - offset));
  if (size < at_least) return false;
  if (window_ == nullptr) window_ = std::make_unique<std::byte[]>(kWindowBytes);
  held_bytes_ = 0;
  if (!file.read_at(offset, {window_.get(), size})) return false;
  begin_ = offset;
  held_bytes_ = size;
  return true;
}

}  // namespace weightmap::io
