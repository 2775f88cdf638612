// SPDX-License-Identifier: Apache-2.0
// Sizes first: index and extras are built once with stand-ins for digests and places, which take
// the same room, so that data can be written behind them before they are known.
#include "format/content.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/checked.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/extras_builder.h"
#include "format/index_builder.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

struct Parts {
  IndexParts index;
  std::vector<std::byte> extras;  // with stand-ins for digests
};

// For a digest that is not known yet: the all-zero one would say that nothing is recorded.
Digest stand_in_digest() {
  Digest digest;
  digest.bytes.fill(std::byte{0xFF});
  return digest;
}

// Gathers stand-ins for the digests of segments; of chunks no more than could ever be stored.
class StandIns {
 public:
  void append(std::uint64_t size_bytes) {
    chunks_ = checked_add(chunks_, chunk_count(size_bytes)).value_or(UINT64_MAX);
    digests_.segments.push_back(stand_in_digest());
  }
  void append_unknown() { digests_.segments.emplace_back(); }

  Result<ContentDigests> finish() && {
    constexpr std::uint64_t kLimit = kMaxIndexBytes / sizeof(Digest);
    if (chunks_ > kLimit) {
      return unsupported("the segments have ", chunks_, " chunks vs ", kLimit, " at most");
    }
    digests_.chunks.resize(static_cast<std::size_t>(chunks_), stand_in_digest());
    return std::move(digests_);
  }

 private:
  ContentDigests digests_;
  std::uint64_t chunks_ = 0;
};

Result<ContentDigests> stand_in_digests(const Content& content) {
  StandIns all;
  for (const std::uint64_t size : content.segment_sizes_bytes)
    all.append(size);
  for (const DataFileContent& file : content.data_files) {
    for (const Range& segment : file.segments)
      file.has_digests ? all.append(segment.size_bytes) : all.append_unknown();
  }
  return std::move(all).finish();
}

Result<Parts> collect(const Content& content) {
  auto index = collect_index(content);
  if (!index) return index.error();
  const auto digests = stand_in_digests(content);
  if (!digests) return digests.error();
  auto extras = build_extras(content, *digests);
  if (!extras) return extras.error();
  return Parts{*std::move(index), *std::move(extras)};
}

std::vector<std::byte> index_at(const IndexParts& parts,
                                const Layout& layout,
                                const Digest& extras_digest) {
  return build_index(parts, {.segments = layout.segments,
                             .file_size_bytes = layout.file_size_bytes,
                             .alignment_bytes = layout.header.alignment_bytes,
                             .extras_digest = extras_digest});
}

// No sum wraps: fewer than 2^27 segments fit into an index and fewer than 2^27 digests of chunks
// into extras, which keeps the blob below 2^52 bytes.
Layout place(const Content& content, const Parts& parts) {
  Layout layout;
  layout.header.alignment_bytes = content.alignment_bytes;
  layout.segments.resize(content.segment_sizes_bytes.size());
  layout.file_size_bytes = 1;
  layout.header.index = {kHeaderBytes, index_at(parts.index, layout, stand_in_digest()).size()};
  layout.header.extras = {*checked_align_up(layout.header.index.end(), 8), parts.extras.size()};
  std::uint64_t end = layout.header.extras.end();
  layout.header.blob.offset_bytes = *checked_align_up(end, content.alignment_bytes);
  end = layout.header.blob.offset_bytes;
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    const std::uint64_t begin = *checked_align_up(end, content.alignment_bytes);
    layout.segments[i] = {begin, content.segment_sizes_bytes[i]};
    end = layout.segments[i].end();
  }
  layout.header.blob.size_bytes = end - layout.header.blob.offset_bytes;
  layout.file_size_bytes = end;
  return layout;
}

// Every rule about content, on an index with stand-ins for the digests. What breaks one here is the
// caller's content. Finds out the required features on the way.
Result<void> check_content(const Parts& parts, Layout& layout) {
  const auto bytes = index_at(parts.index, layout, stand_in_digest());
  const IndexView view = view_index(*fb::GetIndex(bytes.data()));
  EntryUses uses;
  uses.add(view.entries);
  layout.header.required_features = used_features(view, uses);
  const auto index = check_index_rules({layout.header, bytes, view, {}});
  if (!index) return index.error();
  const fb::Extras* extras = fb::GetExtras(parts.extras.data());
  return check_rules(extras_rules(), ExtrasInput{parts.extras, view, extras});
}

void put(std::vector<std::byte>& front,
         std::uint64_t offset_bytes,
         std::span<const std::byte> bytes) {
  std::memcpy(front.data() + offset_bytes, bytes.data(), bytes.size());
}

Result<void> read_back(std::span<const std::byte> front, std::uint64_t file_size) {
  const auto header = read_header(front, file_size);
  if (!header) return header.error();
  const auto part = [&](const Range& range) {
    return front.subspan(range.offset_bytes, range.size_bytes);
  };
  const auto index = read_index(part(header->index), *header);
  if (!index) return index.error();
  const auto structure = check_structure_digest(*index);
  if (!structure) return structure.error();
  const auto extras = read_extras(part(header->extras), *index);
  if (!extras) return extras.error();
  return {};
}

}  // namespace

Result<Layout> lay_out(const Content& content) {
  if (!is_alignment(content.alignment_bytes, kMinAlignmentBytes)) {
    return Error(ErrorCode::kInvalidArgument, concat("the alignment is ", content.alignment_bytes,
                                                     " vs a power of two from 64"));
  }
  const auto parts = collect(content);
  if (!parts) return parts.error();
  Layout layout = place(content, *parts);
  const auto checked = check_content(*parts, layout);
  if (!checked) return Error(ErrorCode::kInvalidArgument, checked.error().message());
  return layout;
}

Result<std::vector<std::byte>> encode_front(const Content& content,
                                            const Layout& layout,
                                            const ContentDigests& digests) {
  const auto parts = collect_index(content);
  if (!parts) return parts.error();
  const auto extras = build_extras(content, digests);
  if (!extras) return extras.error();
  const auto index = index_at(*parts, layout, digest_of(*extras));
  Header header = layout.header;
  if (index.size() != header.index.size_bytes || extras->size() != header.extras.size_bytes) {
    return Error(ErrorCode::kInvalidArgument, "content and digests are not those of the layout");
  }
  header.index_digest = digest_of(index);
  std::vector<std::byte> front(header.blob.offset_bytes);
  put(front, 0, write_header(header));
  put(front, header.index.offset_bytes, index);
  put(front, header.extras.offset_bytes, *extras);
  const auto valid = read_back(front, layout.file_size_bytes);
  if (!valid) return valid.error();
  return front;
}

}  // namespace weightmap::format
