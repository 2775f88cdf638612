// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "weightmap/result.h"

#include "io/file.h"

namespace weightmap::io {

// Reads pieces of files as File::read_at does, and small ones that follow one another closely many
// to a system call: after each such piece it reads further ahead, up to a window's size. Large or
// distant pieces are read by themselves. What the window holds is as old as when it was read.
// Not safe for use from several threads. A file that was asked for must outlive the next call.
class ReadAhead {
 public:
  static constexpr std::size_t kWindowBytes = std::size_t{256} << 10U;

  // Errors: those of File::read_at, and only for the bytes that were asked for.
  Result<void> read_at(const File& file, std::uint64_t offset, std::span<std::byte> into);

 private:
  bool holds(std::uint64_t offset, std::size_t size) const;
  bool is_near(const File& file, std::uint64_t offset) const;
  bool fill(const File& file, std::uint64_t offset, std::size_t at_least);

  const File* file_ = nullptr;  // of the window and of the last piece
  std::uint64_t last_end_ = 0;  // of the last piece
  std::uint64_t begin_ = 0;     // of what the window holds
  std::size_t held_bytes_ = 0;
  std::size_t ahead_bytes_ = 0;  // how far it read the last time; 0: not ahead
  std::unique_ptr<std::byte[]> window_;
};

}  // namespace weightmap::io
