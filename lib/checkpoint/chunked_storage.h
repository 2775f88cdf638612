// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

#include "io/file.h"

// The storage of a row-major tensor that lies in pieces, each a box of its elements: in several
// files, or in several places of one.
namespace weightmap::checkpoint {

// All in bytes: the last dimension is that of the bytes of an element or, where rows of the chunk
// are whole rows of the tensor, of several.
struct Chunk {
  std::uint32_t file = 0;              // in Checkpoint::files
  std::uint64_t begin_bytes = 0;       // of its first element, in the file
  std::vector<std::uint64_t> shape;    // of the whole
  std::vector<std::uint64_t> offsets;  // in the whole
  std::vector<std::uint64_t> sizes;    // none is 0
  std::vector<std::uint64_t> strides;  // in the file, in bytes; empty: row-major without gaps
};

struct ChunkedStorage {
  std::vector<Chunk> chunks;  // they cover the whole, each byte once
};

// A box of a tensor's elements. REQUIRES: as many offsets, sizes and strides as dimensions.
struct ChunkPlace {
  std::uint32_t file = 0;
  std::uint64_t begin_bytes = 0;
  std::span<const std::int64_t> offsets, sizes, strides;  // in elements
};

// REQUIRES: dtype's elements are whole bytes; the sizes are not 0 and, times the element's, below
// 2^64 in bytes; so is the whole.
Chunk make_chunk(Dtype dtype, std::span<const std::int64_t> shape, const ChunkPlace& place);

// How many pairs of chunks may be compared while proving that none overlap, for a whole checkpoint.
inline constexpr std::uint64_t kMaxChunkComparisons = 100'000'000;

// A box as the metadata tell it.
struct Box {
  std::span<const std::int64_t> offsets, sizes;
};

// Whether the boxes tile the shape: each inside it, no two overlap, their elements are as many as
// its own. Takes what it needs from `comparisons_left`. Errors: kCorrupt; kUnsupported when that is
// not enough. REQUIRES: the elements of the shape can be counted; no size of a box is 0.
Result<void> check_tiling(std::span<const std::int64_t> shape,
                          std::span<const Box> boxes,
                          std::uint64_t& comparisons_left);

// Fills `into` with the bytes of the whole from `begin_bytes` on. Memory is a constant.
// Errors: those of File::read_at.
Result<void> read_chunked(const ChunkedStorage& storage,
                          std::span<const io::File> files,
                          std::uint64_t begin_bytes,
                          std::span<std::byte> into);

}  // namespace weightmap::checkpoint
