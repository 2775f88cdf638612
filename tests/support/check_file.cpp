// SPDX-License-Identifier: Apache-2.0
#include "support/check_file.h"

#include <numeric>

#include "format/blob.h"
#include "format/flatbuffer.h"

namespace weightmap::tests {
namespace {

using format::Chunk;
using format::Extras;
using format::Header;
using format::IndexView;
using format::Range;

std::span<const std::byte> part_of(std::span<const std::byte> file, const Range& range) {
  return file.subspan(range.offset_bytes, range.size_bytes);
}

Bytes copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

Result<void> check_blob(std::span<const std::byte> file,
                        const OpenIndex& index,
                        const Extras& extras) {
  for (const Range& range : format::padding_ranges(index.header, index.view)) {
    auto zero = format::check_padding(range, part_of(file, range));
    if (!zero) return zero;
  }
  for (const Chunk& chunk : format::recorded_chunks(index.view, extras)) {
    auto right = format::check_chunk(chunk, part_of(file, chunk.range));
    if (!right) return right;
  }
  return format::check_digests_of_chunks(index.view, extras);
}

template <typename T>
std::uint64_t sum(std::span<const T> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::uint64_t{0});
}

bool is_inside_segment(const IndexView& index, const fb::Entry& entry) {
  const auto place = index.place(entry);
  if (!place) return entry.segment() == format::kNoSegment;
  const auto& segment = index.segments[entry.segment()];
  return place->offset_bytes >= segment.offset_bytes() &&
         place->end() <= segment.offset_bytes() + segment.size_bytes();
}

}  // namespace

Result<OpenIndex> open_index(std::span<const std::byte> file) {
  const auto header = format::read_header(copy_of(file), file.size());
  if (!header) return header.error();
  OpenIndex index{copy_of(part_of(file, header->index)), *header, {}};
  const auto view = format::read_index(index.bytes, *header);
  if (!view) return view.error();
  index.view = *view;
  return index;
}

Result<void> check_file(std::span<const std::byte> file) {
  const auto index = open_index(file);
  if (!index) return index.error();
  const auto structure = format::check_structure_digest(index->view);
  if (!structure) return structure;
  const Bytes bytes = copy_of(part_of(file, index->header.extras));
  const auto extras = format::read_extras(bytes, index->view);
  if (!extras) return extras.error();
  return check_blob(file, *index, *extras);
}

bool walk(const IndexView& index) {
  bool right = true;
  std::uint64_t seen = 0;
  for (std::uint32_t i = 0; i < index.entries.size(); ++i) {
    const auto& entry = index.entries[i];
    right &= index.find(index.name(entry)) == i;
    seen += sum(index.shape(entry)) + sum(index.strides(entry));
    right &= is_inside_segment(index, entry);
  }
  for (const auto& module : index.modules)
    seen += sum(std::span(index.path(module)));
  right &= !index.find("a name that no file has");
  right &= index.own_segment_count() <= index.segments.size();
  // What was seen depends on every byte read, so that no read can be left out.
  return right && seen != 0x5EED5EED5EED5EEDU;
}

bool walk(const Extras& extras) {
  std::uint64_t seen = 0;
  for (std::uint32_t node = 0; node < extras.values.size(); ++node) {
    seen += sum(extras.values.children(node)) + sum(extras.values.items(node)) +
            sum(std::span(extras.values.text(node)));
  }
  return seen != 0x5EED5EED5EED5EEDU;
}

}  // namespace weightmap::tests
