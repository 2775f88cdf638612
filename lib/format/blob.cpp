// SPDX-License-Identifier: Apache-2.0
#include "format/blob.h"

#include <algorithm>

#include "base/hash.h"
#include "format/flatbuffer.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

Error damaged(int rule, const Error& error) {
  return with_rule(rule, error).with_context("blob");
}

Range range_of(const fb::Segment& segment) {
  return {segment.offset_bytes(), segment.size_bytes()};
}

// Walks the digests of chunks, which stand together for all segments that have some.
class ChunkDigests {
 public:
  explicit ChunkDigests(const Extras& extras) : extras_(extras), rest_(extras.chunk_digests) {}

  // The next segment's; empty if it has none. REQUIRES: asked for each segment in order.
  std::span<const Digest> of(std::uint32_t segment, std::uint64_t size_bytes) {
    if (!recorded_digest(extras_, segment)) return {};
    const auto count = static_cast<std::size_t>(chunk_count(size_bytes));
    const auto chunks = rest_.first(count);
    rest_ = rest_.subspan(count);
    return chunks;
  }

 private:
  const Extras& extras_;
  std::span<const Digest> rest_;
};

void append_chunks(std::vector<Chunk>& out,
                   std::uint32_t segment,
                   const Range& whole,
                   std::span<const Digest> digests) {
  std::uint64_t begin = whole.offset_bytes;
  for (const Digest& digest : digests) {
    const std::uint64_t size = std::min(kChunkBytes, whole.end() - begin);
    out.push_back({segment, {begin, size}, digest});
    begin += size;
  }
}

}  // namespace

std::vector<Range> padding_ranges(const Header& header, const IndexView& index) {
  std::vector<Range> ranges;
  const auto append = [&](std::uint64_t begin, std::uint64_t end) {
    if (begin < end) ranges.push_back({begin, end - begin});
  };
  append(header.index.end(), header.extras.offset_bytes);
  append(header.extras.end(), header.blob.offset_bytes);
  std::uint64_t end = header.blob.offset_bytes;
  for (const fb::Segment& segment : index.segments.first(index.own_segment_count())) {
    append(end, segment.offset_bytes());
    end = range_of(segment).end();
  }
  return ranges;
}

// R27
Result<void> check_padding(const Range& range, std::span<const std::byte> bytes) {
  const auto bad = std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{0}; });
  if (bad == bytes.end()) return {};
  const auto at = range.offset_bytes + static_cast<std::uint64_t>(bad - bytes.begin());
  const auto value = std::to_integer<unsigned>(*bad);
  return damaged(27, corrupt("byte ", at, " of the file is padding but ", value, " vs 0"));
}

std::vector<Chunk> recorded_chunks(const IndexView& index,
                                   const Extras& extras,
                                   std::uint32_t data_file) {
  const fb::DataFile& file = *index.root->data_files()->Get(data_file);
  std::vector<Chunk> chunks;
  ChunkDigests digests(extras);
  for (std::uint32_t i = 0; i < index.segments.size(); ++i) {
    const Range whole = range_of(index.segments[i]);
    const auto of_chunks = digests.of(i, whole.size_bytes);
    const auto of_segment = recorded_digest(extras, i);
    if (i < file.first_segment() || i - file.first_segment() >= file.segment_count()) continue;
    if (!of_segment) continue;
    if (of_chunks.empty()) {
      chunks.push_back({i, whole, *of_segment});
    } else {
      append_chunks(chunks, i, whole, of_chunks);
    }
  }
  return chunks;
}

// R28
Result<void> check_chunk(const Chunk& chunk, std::span<const std::byte> bytes) {
  const Digest found = digest_of(bytes);
  if (found == chunk.expected) return {};
  return damaged(28, corrupt("segment ", chunk.segment, ": the ", chunk.range.size_bytes,
                             " bytes at ", chunk.range.offset_bytes, " are damaged, digest ",
                             found.hex(), " vs ", chunk.expected.hex()));
}

Result<void> check_digests_of_chunks(const IndexView& index, const Extras& extras) {
  ChunkDigests digests(extras);
  for (std::uint32_t i = 0; i < index.segments.size(); ++i) {
    const auto chunks = digests.of(i, index.segments[i].size_bytes());
    if (chunks.empty()) continue;
    const Digest found = digest_of_chunks(chunks);
    const Digest expected = *recorded_digest(extras, i);
    if (found == expected) continue;
    return damaged(28, corrupt("segment ", i, ": its digest is not that of its chunks' digests, ",
                               found.hex(), " vs ", expected.hex()));
  }
  return {};
}

}  // namespace weightmap::format
