// SPDX-License-Identifier: Apache-2.0
#include "support/raw_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "base/hash.h"
#include "support/resign.h"
#include "weightmap_extras_generated.h"
#include "weightmap_generated.h"

namespace weightmap::tests {
namespace {

using flatbuffers::FlatBufferBuilder;

constexpr std::uint64_t kOne = 1;

std::uint64_t up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

fb::Digest stored(const Digest& digest) {
  fb::Digest result;
  std::memcpy(static_cast<void*>(&result), digest.bytes.data(), sizeof result);
  return result;
}

fb::Entry stored(const RawEntry& e) {
  return {e.name_hash, e.offset_bytes, e.segment, e.name_begin, e.shape_begin, e.strides_begin,
          e.name_size, e.flags,        e.dtype,   e.rank,       e.reserved};
}
fb::Order stored(const RawOrder& order) {
  return {order.hash_top, order.entry};
}
fb::Module stored(const RawModule& module) {
  return {module.version, module.path_begin, module.path_size};
}
fb::Node stored(const RawNode& n) {
  const std::array<std::uint8_t, 6> reserved{n.reserved};
  return {n.number,      n.first_child,
          n.child_count, n.text_begin,
          n.text_size,   n.kind,
          n.flags,       flatbuffers::span<const std::uint8_t, 6>(reserved)};
}

template <typename Raw>
auto stored_all(const std::vector<Raw>& raw) {
  std::vector<decltype(stored(raw.front()))> result;
  for (const Raw& one : raw)
    result.push_back(stored(one));
  return result;
}

template <typename Raw>
auto structs(FlatBufferBuilder& builder, const std::vector<Raw>& raw) {
  return builder.CreateVectorOfStructs(stored_all(raw));
}

auto bytes(FlatBufferBuilder& builder, const std::string& text) {
  return builder.CreateVector(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

flatbuffers::Offset<fb::DataFile> write_data_file(FlatBufferBuilder& builder,
                                                  const RawDataFile& file) {
  const auto name = builder.CreateString(file.name);
  const fb::Digest identity = stored(file.identity.value_or(Digest{}));
  return fb::CreateDataFile(builder, name, static_cast<fb::DataFileKind>(file.kind),
                            file.size_bytes, file.alignment_bytes,
                            file.identity ? &identity : nullptr, file.first_segment,
                            file.segment_count);
}

flatbuffers::Offset<fb::Composite> write_composite(FlatBufferBuilder& builder,
                                                   const RawComposite& composite) {
  std::vector<flatbuffers::Offset<fb::Part>> parts;
  for (const RawPart& part : composite.parts) {
    parts.push_back(fb::CreatePart(builder, builder.CreateString(part.role), part.entry));
  }
  return fb::CreateComposite(
      builder, builder.CreateString(composite.name), static_cast<fb::CompositeKind>(composite.kind),
      composite.dtype, composite.flags, builder.CreateVector(composite.shape),
      builder.CreateVector(parts), builder.CreateVector(composite.reals),
      builder.CreateVector(composite.integers), builder.CreateString(composite.class_name));
}

Bytes finished(const FlatBufferBuilder& builder) {
  const auto all = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {all.begin(), all.end()};
}

template <typename T>
void append(Bytes& out, const T* data, std::size_t count) {
  const auto more = std::as_bytes(std::span(data, count));
  out.insert(out.end(), more.begin(), more.end());
}

void append_text(Bytes& out, const std::string& text) {
  append(out, text.data(), text.size());
}

void append_composite(Bytes& out, const RawComposite& c) {
  const std::uint64_t numbers[] = {
      c.kind,         c.dtype,        c.flags,           c.name.size(), c.class_name.size(),
      c.shape.size(), c.reals.size(), c.integers.size(), c.parts.size()};
  append(out, numbers, std::size(numbers));
  append_text(out, c.name);
  append_text(out, c.class_name);
  append(out, c.shape.data(), c.shape.size());
  append(out, c.reals.data(), c.reals.size());
  append(out, c.integers.data(), c.integers.size());
  for (const RawPart& part : c.parts) {
    const std::uint64_t entry_and_size[] = {part.entry, part.role.size()};
    append(out, entry_and_size, 2);
    append_text(out, part.role);
  }
}

// By FORMAT.md 3, of the bytes as they are stored.
Digest structure_of(const RawIndex& index) {
  Bytes all;
  const std::uint64_t count = index.entries.size();
  append(all, &count, 1);
  for (const RawEntry& raw : index.entries) {
    const fb::Entry entry = stored(raw);
    append(all, reinterpret_cast<const std::byte*>(&entry) + 24, 16);
  }
  append(all, index.names.data(), index.names.size());
  append(all, index.dims.data(), index.dims.size());
  for (const RawComposite& composite : index.composites)
    append_composite(all, composite);
  return digest_of(all);
}

std::vector<fb::Segment> placed_segments(const RawIndex& index, std::uint64_t blob_offset) {
  const std::uint64_t own = index.data_files.empty() ? 0 : index.data_files[0].segment_count;
  std::vector<fb::Segment> result;
  for (const RawSegment& segment : index.segments) {
    const std::uint64_t base = result.size() < own ? blob_offset : 0;
    result.emplace_back(base + segment.offset_bytes, segment.size_bytes);
  }
  return result;
}

std::uint32_t add_dims(RawIndex& index, const std::vector<std::int64_t>& dims) {
  const auto begin = static_cast<std::uint32_t>(index.dims.size());
  index.dims.insert(index.dims.end(), dims.begin(), dims.end());
  return begin;
}

}  // namespace

void add_tensor(RawIndex& index, const NewTensor& tensor) {
  RawEntry entry;
  entry.offset_bytes = tensor.offset_bytes;
  entry.segment = tensor.segment;
  entry.name_begin = static_cast<std::uint32_t>(index.names.size());
  entry.shape_begin = add_dims(index, tensor.shape);
  entry.strides_begin = add_dims(index, tensor.strides);
  entry.name_size = static_cast<std::uint16_t>(tensor.name.size());
  entry.flags = tensor.flags;
  entry.dtype = tensor.dtype;
  entry.rank = static_cast<std::uint8_t>(tensor.shape.size());
  index.entries.push_back(entry);
  index.names += tensor.name;
}

std::uint32_t add_node(RawExtras& extras,
                       std::uint8_t kind,
                       std::uint64_t number,
                       const std::string& text,
                       const std::vector<std::uint32_t>& children,
                       bool has_attributes) {
  RawNode node;
  node.kind = kind;
  node.number = number;
  node.first_child = static_cast<std::uint32_t>(extras.children.size());
  node.child_count = static_cast<std::uint32_t>(children.size());
  node.text_begin = static_cast<std::uint32_t>(extras.text.size());
  node.text_size = static_cast<std::uint32_t>(text.size());
  node.flags = has_attributes ? 1 : 0;
  extras.nodes.push_back(node);
  extras.children.insert(extras.children.end(), children.begin(), children.end());
  extras.text += text;
  return static_cast<std::uint32_t>(extras.nodes.size() - 1);
}

void add_module(RawIndex& index, const std::string& path, std::int64_t version) {
  index.modules.push_back({version, static_cast<std::uint32_t>(index.module_paths.size()),
                           static_cast<std::uint32_t>(path.size())});
  index.module_paths += path;
}

void rehash(RawIndex& index) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> all;
  for (RawEntry& entry : index.entries) {
    entry.name_hash = name_hash(index.names.substr(entry.name_begin, entry.name_size));
    all.emplace_back(entry.name_hash, static_cast<std::uint32_t>(all.size()));
  }
  std::ranges::sort(all);
  index.order.clear();
  for (const auto& [hash, entry] : all) {
    index.order.push_back({static_cast<std::uint32_t>(hash >> 32U), entry});
  }
  const unsigned bits = all.empty() ? 0 : static_cast<unsigned>(std::bit_width(all.size())) - 1;
  index.buckets.clear();
  for (std::uint64_t bucket = 0; bucket <= kOne << bits; ++bucket) {
    const auto is_before = [&](const auto& one) {
      return bits == 0 ? bucket == 1 : one.first >> (64 - bits) < bucket;
    };
    const auto before = std::ranges::count_if(all, is_before);
    index.buckets.push_back(static_cast<std::uint32_t>(before));
  }
}

void record_own_digests(RawFile& file) {
  file.extras.segment_digests.resize(file.index.segments.size());
  for (std::uint32_t i = 0; i < file.index.data_files[0].segment_count; ++i) {
    const RawSegment& segment = file.index.segments[i];
    file.extras.segment_digests[i] =
        digest_of(std::span(file.blob).subspan(segment.offset_bytes, segment.size_bytes));
  }
}

Bytes write_raw_index(const RawFile& file, const Digest& extras_digest, std::uint64_t blob_offset) {
  const RawIndex& index = file.index;
  FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::DataFile>> data_files;
  for (RawDataFile data_file : index.data_files) {
    if (data_files.empty()) data_file.size_bytes += blob_offset + file.blob.size();
    data_files.push_back(write_data_file(builder, data_file));
  }
  for (std::size_t i = 0; i < index.repeats_of_last_data_file; ++i) {
    data_files.push_back(data_files.back());
  }
  std::vector<flatbuffers::Offset<fb::Composite>> composites;
  for (const RawComposite& composite : index.composites) {
    composites.push_back(write_composite(builder, composite));
  }
  const fb::Digest structure = stored(index.structure_digest.value_or(structure_of(index)));
  const fb::Digest extras = stored(extras_digest);
  const auto segments = placed_segments(index, blob_offset);
  const auto root =
      fb::CreateIndex(builder, structs(builder, index.entries), bytes(builder, index.names),
                      builder.CreateVector(index.dims), structs(builder, index.order),
                      builder.CreateVector(index.buckets), builder.CreateVectorOfStructs(segments),
                      builder.CreateVector(data_files), builder.CreateVector(composites),
                      structs(builder, index.modules), bytes(builder, index.module_paths),
                      index.has_structure_digest ? &structure : nullptr,
                      index.has_extras_digest ? &extras : nullptr);
  fb::FinishIndexBuffer(builder, root);
  Bytes result = finished(builder);
  result.insert(result.end(), file.index_tail.begin(), file.index_tail.end());
  return result;
}

Bytes write_raw_extras(const RawExtras& extras) {
  FlatBufferBuilder builder;
  const auto root = fb::CreateExtras(
      builder, structs(builder, extras.segment_digests), structs(builder, extras.chunk_digests),
      structs(builder, extras.nodes), builder.CreateVector(extras.children),
      bytes(builder, extras.text), builder.CreateString(extras.producer));
  fb::FinishExtrasBuffer(builder, root);
  return finished(builder);
}

Bytes write_raw(const RawFile& file) {
  const Bytes extras = write_raw_extras(file.extras);
  const Digest digest = digest_of(extras);
  const std::uint64_t index_size = write_raw_index(file, digest, 64).size();
  const std::uint64_t extras_at = up(128 + index_size, 8);
  const std::uint64_t blob_at = up(extras_at + extras.size(), file.alignment_bytes);
  const Bytes index = write_raw_index(file, digest, blob_at);
  Bytes all(blob_at);
  poke(all, 0, std::array<unsigned char, 8>{0x89, 'W', 'M', 'A', 'P', 0x0d, 0x0a, 0x1a});
  poke<std::uint16_t>(all, 8, 1);
  poke<std::uint32_t>(all, 12, 128);
  const std::uint64_t numbers[] = {file.required_features, 128,     index_size,      extras_at,
                                   extras.size(),          blob_at, file.blob.size()};
  std::memcpy(all.data() + 16, numbers, sizeof numbers);
  poke(all, 72, file.alignment_bytes);
  std::ranges::copy(index, all.begin() + 128);
  std::ranges::copy(extras, all.begin() + static_cast<std::ptrdiff_t>(extras_at));
  all.insert(all.end(), file.blob.begin(), file.blob.end());
  resign_index(all);
  return all;
}

}  // namespace weightmap::tests
