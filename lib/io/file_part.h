// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "weightmap/error.h"
#include "weightmap/result.h"

#include "io/shared_windows.h"
#include "io/staged_output.h"
#include "io/write_behind.h"

namespace weightmap::io {

// A range of a file that is being written, filled from front to back. Several parts of one file may
// be filled at the same time, each by a thread of its own; a window of the file that two of them
// meet in is written by whoever completes it.
// A call that fails is the last. Messages begin with the target.
class FilePart {
 public:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  // REQUIRES: all outlive it.
  FilePart(const std::string& target,
           const StagedOutput& output,
           SharedWindows& windows,
           Range range,
           WriteBehind::Options options);

  std::uint64_t position() const { return staged_begin_ + staged_bytes_; }

  // As those of FileWriter, within the range.
  Result<void> write(std::span<const std::byte> bytes);
  std::span<std::byte> room(std::uint64_t size);
  Result<void> advance(std::size_t filled_bytes);
  Result<void> pad_to(std::uint64_t offset);
  Result<void> rewrite(std::uint64_t offset, std::span<const std::byte> bytes);

  // All that was given so far is written, or waits in a window that another part has to complete.
  Result<void> flush();

  // The same of the whole range, which the kernel begins to bring to the disk if that is wanted.
  // REQUIRES: position() is the range's end; called once.
  Result<void> finish();

  // Goes on behind bytes that other parts have written. REQUIRES: these are finished.
  Result<void> pass_to(std::uint64_t offset);

 private:
  Error wrong_call(std::string_view what) const;
  Result<void> check_fits(std::uint64_t more) const;
  std::size_t left_in_window() const;
  Result<void> take_staged(std::size_t more);
  Result<void> put_staged();

  const std::string& target_;
  const StagedOutput& output_;
  SharedWindows& windows_;
  Range range_;
  bool sync_ = true;
  WriteBehind behind_;
  std::uint64_t staged_begin_ = 0;  // where the staging buffer's first byte belongs
  std::size_t staged_bytes_ = 0;
};

}  // namespace weightmap::io
