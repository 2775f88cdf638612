// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/pickle.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// A pickle and the bytes that its values refer to. Movable.
struct OwnedPickle {
  std::vector<std::byte> bytes;
  Pickle pickle;
};

// Reads what the formats before 1.6 are made of: pickles, numbers and raw bytes, one behind the
// other without any framing. Refers to the file. Memory for a pickle is in proportion to its size,
// whatever follows it. Messages begin with the path, then with what `what` says was read.
class PickleStream {
 public:
  // REQUIRES: begin_bytes <= end_bytes <= the file's size.
  PickleStream(const io::File& file,
               std::uint64_t begin_bytes,
               std::uint64_t end_bytes,
               CheckGlobal check_global);

  // Errors: those of decode_pickle, kIo; kUnsupported (longer than PickleLimits::kMaxBytes).
  Result<OwnedPickle> next(std::string_view what);

  // Eight bytes, little-endian. Errors: kIo, kCorrupt.
  Result<std::int64_t> number(std::string_view what);

  // Leaves out that many bytes, and tells where in the file they begin. Error: kCorrupt.
  Result<std::uint64_t> skip(std::uint64_t size_bytes, std::string_view what);

  std::uint64_t remaining_bytes() const { return end_bytes_ - at_bytes_; }

 private:
  Error cut_short(std::uint64_t size_bytes, std::string_view what) const;

  const io::File& file_;
  std::uint64_t at_bytes_;
  std::uint64_t end_bytes_;
  CheckGlobal check_global_;
};

}  // namespace weightmap::checkpoint
