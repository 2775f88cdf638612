// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/digest.h"

#include "base/hash.h"

namespace weightmap::format {

inline constexpr std::uint64_t kChunkBytes = 16U << 20U;

// How many digests of chunks a segment has: none when it is not longer than one chunk.
std::uint64_t chunk_count(std::uint64_t segment_bytes);

// The digest of a segment that has chunks: that of their digests.
Digest digest_of_chunks(std::span<const Digest> chunks);

// The digest of a segment whose bytes come piece by piece, and those of its chunks when it is
// longer than one (FORMAT.md 4).
class SegmentDigester {
 public:
  explicit SegmentDigester(std::uint64_t segment_bytes)
      : is_chunked_(segment_bytes > kChunkBytes), remaining_bytes_(segment_bytes) {}

  // REQUIRES: not more bytes than the segment has.
  void update(std::span<const std::byte> bytes);

  struct Digests {
    Digest segment;
    std::vector<Digest> chunks;  // empty when the segment is one chunk
  };
  // REQUIRES: all bytes of the segment were given.
  Digests finish();

 private:
  DigestStream stream_;
  bool is_chunked_;
  std::uint64_t remaining_bytes_;
  std::uint64_t chunk_filled_bytes_ = 0;
  std::vector<Digest> chunks_;
};

}  // namespace weightmap::format
