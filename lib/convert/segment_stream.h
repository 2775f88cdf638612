// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "weightmap/export.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "io/file_writer.h"

namespace weightmap::convert {

// What to say of a segment whose bytes do not have its digest: kCorrupt, naming tensors in it.
Error other_bytes(const WeightFile& file,
                  std::uint32_t segment,
                  const Digest& found,
                  const Digest& recorded);

// Moves segments of a weight file into a file that is being written, and holds them against their
// digests. Not safe for use from several threads.
class SegmentStream {
 public:
  // Tells progress for the first time: before this there must be no target. Errors: those of
  // WeightFile::segment_digests, kCancelled.
  static Result<SegmentStream> open(const WeightFile& file,
                                    const ExportOptions& options,
                                    std::uint64_t total_bytes);

  using Look = std::function<void(std::span<const std::byte>)>;

  // Appends a segment; `look` sees every byte. Errors: kCorrupt (its digest is another), kIo,
  // kCancelled.
  Result<void> copy(std::uint32_t segment, io::FileWriter& into, const Look& look);

  // Appends a part of a segment. Errors: kIo, kCancelled.
  Result<void> copy_part(
      std::uint32_t segment,
      std::uint64_t offset_bytes,
      std::uint64_t size_bytes,
      io::FileWriter& into,
      const Look& look = [](auto) {});

  // Reads a segment only to hold it against its digest. Errors as above.
  Result<void> check(std::uint32_t segment);

  // Counts bytes as done. Error: kCancelled.
  Result<void> advance(std::uint64_t bytes);

  bool all_checked() const { return all_checked_; }  // no segment so far was without a digest

 private:
  SegmentStream(const WeightFile& file,
                const ExportOptions& options,
                std::vector<Digest> digests,
                std::uint64_t total_bytes)
      : file_(file), options_(options), digests_(std::move(digests)), total_bytes_(total_bytes) {}
  Result<void> compare(std::uint32_t segment, const Digest& found);

  const WeightFile& file_;
  const ExportOptions& options_;
  std::vector<Digest> digests_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  bool all_checked_ = true;
};

}  // namespace weightmap::convert
