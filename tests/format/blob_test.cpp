// SPDX-License-Identifier: Apache-2.0
#include "format/blob.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "format/segment_digest.h"
#include "support/check_file.h"
#include "support/golden_files.h"
#include "support/resign.h"

namespace weightmap::format {
namespace {

using tests::Bytes;
using tests::WholeContent;

constexpr std::size_t kChunk = 16 << 20;

Bytes noisy_bytes(std::size_t count) {
  std::vector<std::uint64_t> words(count / 8 + 1);
  std::uint64_t state = count;
  for (std::uint64_t& word : words)
    word = state = state * 6364136223846793005U + 1442695040888963407U;
  const auto bytes = std::as_bytes(std::span(words)).first(count);
  return {bytes.begin(), bytes.end()};
}

std::vector<Digest> digests_by_hand(const Bytes& bytes) {
  std::vector<Digest> chunks;
  for (std::size_t at = 0; at < bytes.size(); at += kChunk) {
    chunks.push_back(digest_of(std::span(bytes).subspan(at, std::min(kChunk, bytes.size() - at))));
  }
  return chunks;
}

SegmentDigester::Digests digest_in_pieces(const Bytes& bytes, std::size_t piece) {
  SegmentDigester digester(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    digester.update(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
  }
  return digester.finish();
}

struct OpenFile {
  Bytes file;
  tests::OpenIndex index;
  Extras extras;

  Result<void> check(const Chunk& chunk) const {
    return check_chunk(chunk,
                       std::span(file).subspan(chunk.range.offset_bytes, chunk.range.size_bytes));
  }
};

OpenFile open(Bytes file) {
  auto index = tests::open_index(file);
  REQUIRE_MESSAGE(index.has_value(), index.error().message());
  const auto part = tests::extras_part(file);
  auto extras = read_extras(Bytes(part.begin(), part.end()), index->view);
  REQUIRE_MESSAGE(extras.has_value(), extras.error().message());
  return {std::move(file), *std::move(index), *std::move(extras)};
}

// A short segment, one of a chunk and 5 bytes, another short one.
OpenFile open_long() {
  WholeContent whole;
  whole.segments = {noisy_bytes(3), noisy_bytes(kChunk + 5), noisy_bytes(100)};
  return open(tests::encode_file(whole));
}

}  // namespace

TEST_SUITE("format/segment digest") {
  TEST_CASE("a segment of at most 16 MiB has the digest of its bytes and no chunks") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, kChunk}) {
      CAPTURE(size);
      const Bytes bytes = noisy_bytes(size);
      const auto found = digest_in_pieces(bytes, 1 << 20);
      CHECK(found.segment == digest_of(bytes));
      CHECK(found.chunks.empty());
      CHECK(chunk_count(size) == 0);
    }
  }

  TEST_CASE("a longer segment has the digest of its chunks' digests") {
    for (const std::size_t size : {kChunk + 1, (std::size_t{40} << 20) + 5}) {
      CAPTURE(size);
      const Bytes bytes = noisy_bytes(size);
      const auto chunks = digests_by_hand(bytes);
      CHECK(chunk_count(size) == chunks.size());
      for (const std::size_t piece : {std::size_t{7} << 20, size}) {
        const auto found = digest_in_pieces(bytes, piece);
        CHECK(found.chunks == chunks);
        CHECK(found.segment == digest_of(std::as_bytes(std::span(chunks))));
      }
    }
  }

  TEST_CASE("the number of chunks of the longest segment does not wrap") {
    CHECK(chunk_count(UINT64_MAX) == std::uint64_t{1} << 40U);
  }
}

TEST_SUITE("format/blob") {
  TEST_CASE("padding and chunks cover the blob, each byte once") {
    const OpenFile open = open_long();
    auto ranges = padding_ranges(open.index.header, open.index.view);
    for (const Chunk& chunk : recorded_chunks(open.index.view, open.extras))
      ranges.push_back(chunk.range);
    std::ranges::sort(ranges, {}, &Range::offset_bytes);
    std::uint64_t end = 0;
    for (const Range& range : ranges) {
      CHECK(range.size_bytes > 0);
      if (range.offset_bytes >= open.index.header.blob.offset_bytes) {
        CHECK(range.offset_bytes == std::max(end, open.index.header.blob.offset_bytes));
      }
      end = range.end();
    }
    CHECK(end == open.file.size());
  }

  TEST_CASE("the chunks of a long segment stand for themselves, a short segment for itself") {
    const OpenFile open = open_long();
    const auto chunks = recorded_chunks(open.index.view, open.extras);
    REQUIRE(chunks.size() == 1 + 2 + 1);
    const std::uint32_t segments[] = {0, 1, 1, 2};
    const std::uint64_t sizes[] = {3, kChunk, 5, 100};
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      CAPTURE(i);
      CHECK(chunks[i].segment == segments[i]);
      CHECK(chunks[i].range.size_bytes == sizes[i]);
      CHECK(open.check(chunks[i]).has_value());
    }
    CHECK(check_digests_of_chunks(open.index.view, open.extras).has_value());
  }

  TEST_CASE("damage is told by segment and bytes, and only where it is") {
    OpenFile open = open_long();
    const auto chunks = recorded_chunks(open.index.view, open.extras);
    open.file[chunks[2].range.end() - 1] ^= std::byte{4};
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      CAPTURE(i);
      CHECK(open.check(chunks[i]).has_value() == (i != 2));
    }
    const auto damaged = open.check(chunks[2]);
    CHECK(damaged.error().code() == ErrorCode::kCorrupt);
    CAPTURE(damaged.error().message());
    const std::string place = "the 5 bytes at " + std::to_string(chunks[2].range.offset_bytes);
    CHECK(damaged.error().message().find("blob: R28: segment 1: " + place) == 0);
  }

  TEST_CASE("segments without a recorded digest have no chunks to check") {
    auto raw = tests::sample_file();
    raw.extras.segment_digests[1] = {};
    OpenFile partly = open(tests::write_raw(raw));
    CHECK(recorded_chunks(partly.index.view, partly.extras).size() == 2);
    raw.extras.segment_digests.clear();
    raw.extras.chunk_digests.clear();
    OpenFile none = open(tests::write_raw(raw));
    CHECK(recorded_chunks(none.index.view, none.extras).empty());
    CHECK_FALSE(recorded_digest(none.extras, 0));
    CHECK(check_digests_of_chunks(none.index.view, none.extras).has_value());
  }

  TEST_CASE("the chunks of a sibling are those of its segments, at their places in it") {
    const OpenFile open = ::weightmap::format::open(tests::write_raw(tests::sample_file()));
    CHECK(recorded_chunks(open.index.view, open.extras, 0).size() == 3);
    const auto chunks = recorded_chunks(open.index.view, open.extras, 1);
    REQUIRE(chunks.size() == 3);
    CHECK(chunks[0].segment == 3);
    CHECK(chunks[0].range == Range{4096, kChunk});
    CHECK(chunks[2].range == Range{4096 + 2 * kChunk, 8 << 20});
    CHECK(chunks[2].expected == open.extras.chunk_digests[2]);
  }
}

}  // namespace weightmap::format
