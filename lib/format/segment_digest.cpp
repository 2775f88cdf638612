// SPDX-License-Identifier: Apache-2.0
#include "format/segment_digest.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weightmap::format {

std::uint64_t chunk_count(std::uint64_t segment_bytes) {
  if (segment_bytes <= kChunkBytes) return 0;
  return (segment_bytes - 1) / kChunkBytes + 1;
}

Digest digest_of_chunks(std::span<const Digest> chunks) {
  return digest_of(std::as_bytes(chunks));
}

void SegmentDigester::update(std::span<const std::byte> bytes) {
  assert(bytes.size() <= remaining_bytes_);
  remaining_bytes_ -= bytes.size();
  while (is_chunked_ && bytes.size() >= kChunkBytes - chunk_filled_bytes_) {
    const auto rest_of_chunk = static_cast<std::size_t>(kChunkBytes - chunk_filled_bytes_);
    stream_.update(bytes.first(rest_of_chunk));
    chunks_.push_back(stream_.finish());
    chunk_filled_bytes_ = 0;
    bytes = bytes.subspan(rest_of_chunk);
  }
  stream_.update(bytes);
  chunk_filled_bytes_ += bytes.size();
}

SegmentDigester::Digests SegmentDigester::finish() {
  assert(remaining_bytes_ == 0);
  if (!is_chunked_) return {stream_.finish(), {}};
  if (chunk_filled_bytes_ > 0) chunks_.push_back(stream_.finish());
  const Digest segment = digest_of_chunks(chunks_);
  return {segment, std::move(chunks_)};
}

}  // namespace weightmap::format
