// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "convert/plan.h"
#include "format/segment_digest.h"
#include "io/share_work.h"
#include "runtime/write_blob.h"

namespace weightmap::convert {

// Reads segments of a plan, beside those of a base or alone. For one thread: it holds 4 MiB.
class SegmentComparison {
 public:
  using Digests = format::SegmentDigester::Digests;

  // REQUIRES: both outlive it; `bytes` are those of the plan.
  SegmentComparison(const WeightFile& base, const Plan& plan, std::unique_ptr<BlobSource> bytes);

  // The digests of a planned segment, if the base's has the same bytes: both are read to the first
  // piece that differs. Tells the bytes of a segment that is found. REQUIRES: they are of one size.
  // Errors: kIo, kCorrupt, those of the progress.
  Result<std::optional<Digests>> compare(std::uint32_t segment,
                                         std::uint32_t candidate,
                                         const io::WorkProgress& progress);

  // Reads all of a planned segment. Tells no bytes. Errors as above.
  Result<Digests> digest(std::uint32_t segment, const io::WorkProgress& progress);

 private:
  using Look =
      std::function<Result<bool>(std::uint64_t at_bytes, std::span<const std::byte> piece)>;
  Result<bool> read_planned(std::uint32_t segment,
                            const io::WorkProgress& progress,
                            const Look& look);

  std::uint64_t size_of(std::uint32_t segment) const {
    return plan_.content.segment_sizes_bytes[segment];
  }

  const WeightFile& base_;
  const Plan& plan_;
  std::unique_ptr<BlobSource> bytes_;
  std::vector<std::byte> planned_;  // a piece of what is planned
  std::vector<std::byte> known_;    // the same of the base
};

}  // namespace weightmap::convert
