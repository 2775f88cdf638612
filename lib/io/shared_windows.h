// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "weightmap/result.h"

#include "io/staged_output.h"

namespace weightmap::io {

// The windows of a file, 2 MiB each, that more than one writer has bytes for: each window is
// gathered and written in one call when its last byte is there. Memory is that of the windows that
// are begun. Safe for use from several threads.
class SharedWindows {
 public:
  static constexpr std::size_t kWindowBytes = std::size_t{2} << 20U;

  // REQUIRES: the output outlives it.
  SharedWindows(const StagedOutput& output, std::uint64_t file_bytes)
      : output_(output), file_bytes_(file_bytes) {}

  // Where the window that begins at `begin` ends: the file's last one is shorter.
  std::uint64_t end_of(std::uint64_t begin) const;

  // Errors: those of a write. REQUIRES: bytes of one window, each once.
  Result<void> add(std::uint64_t offset, std::span<const std::byte> bytes);

  // Counts bytes of writers that have given all that is theirs; returns those since the last time.
  void add_finished(std::uint64_t bytes) { finished_bytes_ += bytes; }
  std::uint64_t take_finished_bytes() { return finished_bytes_.exchange(0); }

 private:
  struct Window {
    std::unique_ptr<std::byte[]> bytes;
    std::uint64_t filled_bytes = 0;
  };

  const StagedOutput& output_;
  const std::uint64_t file_bytes_;
  std::atomic<std::uint64_t> finished_bytes_ = 0;
  std::mutex mutex_;                         // guards:
  std::map<std::uint64_t, Window> windows_;  // by where they begin
};

}  // namespace weightmap::io
