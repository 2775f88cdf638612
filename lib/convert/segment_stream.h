// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "io/file_part.h"
#include "io/share_work.h"
#include "runtime/write_parts.h"

namespace weightmap::convert {

// What to say of a segment whose bytes do not have its digest: kCorrupt, naming tensors in it.
Error other_bytes(const WeightFile& file,
                  std::uint32_t segment,
                  const Digest& found,
                  const Digest& recorded);

// What the digests of a weight file say, and whether all that was looked at so far had one. Safe
// for use from several threads.
class SegmentDigests {
 public:
  // Errors: those of WeightFile::segment_digests.
  static Result<SegmentDigests> of(const WeightFile& file);

  // Errors: kCorrupt.
  Result<void> compare(std::uint32_t segment, const Digest& found) const;

  bool all_checked() const { return *all_checked_; }

 private:
  SegmentDigests(const WeightFile& file, std::vector<Digest> digests)
      : file_(file), digests_(std::move(digests)) {}

  const WeightFile& file_;
  std::vector<Digest> digests_;
  std::unique_ptr<std::atomic<bool>> all_checked_ = std::make_unique<std::atomic<bool>>(true);
};

// Moves segments of a weight file into a part of a file that is being written, and holds them
// against their digests. For one thread.
class SegmentStream {
 public:
  // REQUIRES: all outlive it.
  SegmentStream(const WeightFile& file,
                const SegmentDigests& digests,
                io::FilePart& into,
                const io::WorkProgress& progress)
      : file_(file), digests_(digests), into_(into), progress_(progress) {}

  using Look = std::function<void(std::span<const std::byte>)>;

  // Appends a segment; `look` sees every byte. Errors: kCorrupt (its digest is another), kIo, those
  // of the progress.
  Result<void> copy(std::uint32_t segment, const Look& look);

  // Appends a part of a segment. Errors: kIo, those of the progress.
  Result<void> copy_part(
      std::uint32_t segment,
      std::uint64_t offset_bytes,
      std::uint64_t size_bytes,
      const Look& look = [](auto) {});

  // Reads a segment only to hold it against its digest. Errors as above.
  Result<void> check(std::uint32_t segment);

 private:
  const WeightFile& file_;
  const SegmentDigests& digests_;
  io::FilePart& into_;
  const io::WorkProgress& progress_;
};

}  // namespace weightmap::convert
