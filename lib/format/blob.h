// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "format/extras_view.h"
#include "format/header.h"
#include "format/index_view.h"

// The rules of the bytes outside of header, index and extras, R27 and R28, piece by piece: who
// holds the mapping lists the pieces once and checks them in any order, on any number of threads.
// REQUIRES for all: header, index and extras come from read_header, read_index and read_extras.
namespace weightmap::format {

// The padding of the weight file, ascending, without empty ranges.
std::vector<Range> padding_ranges(const Header& header, const IndexView& index);

// R27 for one range. Errors: kCorrupt, naming the byte of the file.
// REQUIRES: bytes are those of the range.
Result<void> check_padding(const Range& range, std::span<const std::byte> bytes);

// Bytes with a digest of their own: a chunk of a segment, or the whole of one that has no chunks.
struct Chunk {
  std::uint32_t segment = 0;
  Range range;  // in the segment's data file
  Digest expected;
};

// The chunks of all segments of a data file (0: the weight file itself) that have a recorded
// digest, ascending. REQUIRES: data_file is one of the index.
std::vector<Chunk> recorded_chunks(const IndexView& index,
                                   const Extras& extras,
                                   std::uint32_t data_file = 0);

// R28 for one chunk. Errors: kCorrupt, naming the segment and the bytes of the data file.
// REQUIRES: bytes are those of chunk.range.
Result<void> check_chunk(const Chunk& chunk, std::span<const std::byte> bytes);

// The part of R28 that needs no byte of the blob: the digest of each segment that has chunks is
// that of their digests. Errors: kCorrupt, naming the segment.
Result<void> check_digests_of_chunks(const IndexView& index, const Extras& extras);

}  // namespace weightmap::format
