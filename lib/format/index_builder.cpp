// SPDX-License-Identifier: Apache-2.0
#include "format/index_builder.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/text.h"
#include "format/flatbuffer.h"
#include "format/flatbuffer_vectors.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

// More than tables, lengths and padding take beside what vectors and texts hold.
constexpr std::uint64_t kIndexOverheadBytes = 1024;
constexpr std::uint64_t kCompositeOverheadBytes = 256;
constexpr std::uint64_t kPartOverheadBytes = 64;
constexpr std::uint64_t kDataFileOverheadBytes = 128;

template <typename... Pieces>
Error invalid(const Pieces&... pieces) {
  return {ErrorCode::kInvalidArgument, concat(pieces...)};
}

// Shapes and strides, equal ones once. The keys refer to the content's own vectors.
class DimsPool {
 public:
  explicit DimsPool(std::vector<std::int64_t>& dims) : dims_(dims) {}

  std::uint32_t place_of(std::span<const std::int64_t> numbers) {
    if (numbers.empty()) return 0;
    const auto next = static_cast<std::uint32_t>(dims_.size());
    const std::string_view key(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes());
    const auto [known, is_new] = places_.try_emplace(key, next);
    if (is_new) dims_.insert(dims_.end(), numbers.begin(), numbers.end());
    return known->second;
  }

 private:
  std::vector<std::int64_t>& dims_;
  std::unordered_map<std::string_view, std::uint32_t> places_;
};

Result<void> check_is_sayable(const TensorContent& tensor, std::size_t number) {
  if (tensor.name.size() > kMaxNameBytes) {
    return invalid("the name of tensor ", number, " (", quoted(tensor.name), ") has ",
                   tensor.name.size(), " bytes vs ", kMaxNameBytes, " at most");
  }
  const std::size_t rank = tensor.shape.size();
  if (tensor.strides.size() != rank) {
    return invalid("tensor ", quoted(tensor.name), " has ", tensor.strides.size(), " strides vs ",
                   rank, " dimensions");
  }
  if (rank <= kMaxRank) return {};
  return invalid("tensor ", quoted(tensor.name), " has ", rank, " dimensions vs ", kMaxRank);
}

std::uint64_t room_for(const CompositeContent& composite) {
  std::uint64_t bytes = kCompositeOverheadBytes + composite.name.size() +
                        composite.class_name.size() + std::span(composite.shape).size_bytes() +
                        std::span(composite.reals).size_bytes() +
                        std::span(composite.integers).size_bytes();
  for (const PartContent& part : composite.parts)
    bytes += kPartOverheadBytes + part.role.size();
  return bytes;
}

std::uint64_t room_for(const DataFileContent& file) {
  return kDataFileOverheadBytes + file.name.size() + file.segments.size() * sizeof(fb::Segment);
}

// At least what the index takes. Sums of what is stored in memory already: they cannot wrap.
std::uint64_t room_for(const IndexParts& parts, std::size_t own_segments) {
  std::uint64_t bytes = 0;
  for (const CompositeContent& composite : parts.composites)
    bytes += room_for(composite);
  for (const DataFileContent& file : parts.data_files)
    bytes += room_for(file);
  return bytes + kIndexOverheadBytes + std::span(parts.entries).size_bytes() + parts.names.size() +
         std::span(parts.dims).size_bytes() + std::span(parts.order).size_bytes() +
         std::span(parts.buckets).size_bytes() + own_segments * sizeof(fb::Segment) +
         std::span(parts.modules).size_bytes() + parts.module_paths.size();
}

void collect_entries(const Content& content, IndexParts& parts) {
  DimsPool dims(parts.dims);
  parts.entries.reserve(content.tensors.size());
  for (const TensorContent& tensor : content.tensors) {
    const std::uint32_t shape = dims.place_of(tensor.shape);
    const std::uint32_t strides = dims.place_of(tensor.strides);
    parts.entries.emplace_back(name_hash(tensor.name), tensor.offset_bytes, tensor.segment,
                               static_cast<std::uint32_t>(parts.names.size()), shape, strides,
                               static_cast<std::uint16_t>(tensor.name.size()), tensor.flags,
                               static_cast<std::uint8_t>(tensor.dtype),
                               static_cast<std::uint8_t>(tensor.shape.size()), std::uint16_t{0});
    parts.names += tensor.name;
  }
}

// Two names alike or with one hash stand in a row; the rules find them there.
void collect_order(IndexParts& parts) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> by_hash;
  by_hash.reserve(parts.entries.size());
  for (const fb::Entry& entry : parts.entries) {
    by_hash.emplace_back(entry.name_hash(), static_cast<std::uint32_t>(by_hash.size()));
  }
  std::ranges::sort(by_hash);
  parts.order.reserve(by_hash.size());
  for (const auto& [hash, entry] : by_hash) {
    parts.order.emplace_back(static_cast<std::uint32_t>(hash >> 32U), entry);
  }
}

void collect_buckets(IndexParts& parts) {
  const unsigned bits = bucket_bits(parts.order.size());
  parts.buckets.assign((std::size_t{1} << bits) + 1, 0);
  for (const fb::Order& step : parts.order) {
    ++parts.buckets[(std::uint64_t{step.hash_top()} >> (32U - bits)) + 1];
  }
  std::partial_sum(parts.buckets.begin(), parts.buckets.end(), parts.buckets.begin());
}

void collect_modules(const Content& content, IndexParts& parts) {
  std::vector<const ModuleContent*> sorted;
  for (const ModuleContent& module : content.modules)
    sorted.push_back(&module);
  std::ranges::sort(sorted, {}, &ModuleContent::path);
  for (const ModuleContent* module : sorted) {
    parts.modules.emplace_back(module->version,
                               static_cast<std::uint32_t>(parts.module_paths.size()),
                               static_cast<std::uint32_t>(module->path.size()));
    parts.module_paths += module->path;
  }
}

using Builder = flatbuffers::FlatBufferBuilder;

flatbuffers::Offset<flatbuffers::String> stored_text(Builder& builder, const std::string& text) {
  if (text.empty()) return {};
  return builder.CreateString(text);
}

template <typename Table>
flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<Table>>> table_vector(
    Builder& builder, const std::vector<flatbuffers::Offset<Table>>& tables) {
  if (tables.empty()) return {};
  return builder.CreateVector(tables);
}

flatbuffers::Offset<fb::Composite> stored_composite(Builder& builder,
                                                    const CompositeContent& from) {
  std::vector<flatbuffers::Offset<fb::Part>> parts;
  parts.reserve(from.parts.size());
  for (const PartContent& part : from.parts)
    parts.push_back(fb::CreatePart(builder, stored_text(builder, part.role), part.tensor));
  const auto name = stored_text(builder, from.name);
  const auto class_name = stored_text(builder, from.class_name);
  const auto shape = scalar_vector<std::int64_t>(builder, from.shape);
  const auto reals = scalar_vector<double>(builder, from.reals);
  const auto integers = scalar_vector<std::int64_t>(builder, from.integers);
  return fb::CreateComposite(builder, name, static_cast<fb::CompositeKind>(from.kind),
                             static_cast<std::uint8_t>(from.dtype), from.flags, shape,
                             table_vector(builder, parts), reals, integers, class_name);
}

auto stored_composites(Builder& builder, std::span<const CompositeContent> composites) {
  std::vector<flatbuffers::Offset<fb::Composite>> tables;
  tables.reserve(composites.size());
  for (const CompositeContent& composite : composites)
    tables.push_back(stored_composite(builder, composite));
  return table_vector(builder, tables);
}

// The file itself first, then its siblings.
auto stored_data_files(Builder& builder,
                       const Surroundings& around,
                       std::span<const DataFileContent> siblings) {
  auto next = static_cast<std::uint32_t>(around.segments.size());
  std::vector tables{fb::CreateDataFile(builder, 0, fb::DataFileKind::self, around.file_size_bytes,
                                        around.alignment_bytes, nullptr, 0, next)};
  tables.reserve(1 + siblings.size());
  for (const DataFileContent& file : siblings) {
    const auto name = stored_text(builder, file.name);
    const fb::Digest identity = stored_digest(file.identity);
    const auto count = static_cast<std::uint32_t>(file.segments.size());
    tables.push_back(fb::CreateDataFile(builder, name, file.kind, file.size_bytes,
                                        file.alignment_bytes, &identity, next, count));
    next += count;
  }
  return builder.CreateVector(tables);
}

std::vector<fb::Segment> stored_segments(const Surroundings& around,
                                         std::span<const DataFileContent> siblings) {
  std::vector<fb::Segment> segments;
  const auto append = [&segments](std::span<const Range> places) {
    for (const Range& place : places)
      segments.emplace_back(place.offset_bytes, place.size_bytes);
  };
  append(around.segments);
  for (const DataFileContent& file : siblings)
    append(file.segments);
  return segments;
}

// Known only when all else is in place.
void put_structure_digest(std::vector<std::byte>& index) {
  const fb::Index* root = fb::GetIndex(index.data());
  const fb::Digest digest = stored_digest(structure_digest_of(view_index(*root)));
  const auto* stored = reinterpret_cast<const std::byte*>(root->structure_digest());
  std::memcpy(index.data() + (stored - index.data()), &digest, sizeof digest);
}

}  // namespace

// Numbers that do not fit into their fields are cut here; such an index is refused at the end.
Result<IndexParts> collect_index(const Content& content) {
  for (std::size_t i = 0; i < content.tensors.size(); ++i) {
    const auto sayable = check_is_sayable(content.tensors[i], i);
    if (!sayable) return sayable.error();
  }
  IndexParts parts;
  collect_entries(content, parts);
  collect_order(parts);
  collect_buckets(parts);
  collect_modules(content, parts);
  parts.composites = content.composites;
  parts.data_files = content.data_files;
  const std::uint64_t bytes = room_for(parts, content.segment_sizes_bytes.size());
  if (bytes <= kMaxIndexBytes) return parts;
  return unsupported("the index would have ", bytes, " bytes vs ", kMaxIndexBytes, " at most");
}

std::vector<std::byte> build_index(const IndexParts& parts, const Surroundings& around) {
  flatbuffers::FlatBufferBuilder builder(room_for(parts, around.segments.size()));
  const fb::Digest structure;
  const fb::Digest extras = stored_digest(around.extras_digest);
  // What a look-up needs is built last and so stands first, near the root.
  const auto module_paths = byte_vector(builder, parts.module_paths);
  const auto modules = struct_vector<fb::Module>(builder, parts.modules);
  const auto composites = stored_composites(builder, parts.composites);
  const auto data_files = stored_data_files(builder, around, parts.data_files);
  const auto segments =
      struct_vector<fb::Segment>(builder, stored_segments(around, parts.data_files));
  const auto dims = scalar_vector<std::int64_t>(builder, parts.dims);
  const auto names = byte_vector(builder, parts.names);
  const auto entries = struct_vector<fb::Entry>(builder, parts.entries);
  const auto order = struct_vector<fb::Order>(builder, parts.order);
  const auto buckets = scalar_vector<std::uint32_t>(builder, parts.buckets);
  const auto root =
      fb::CreateIndex(builder, entries, names, dims, order, buckets, segments, data_files,
                      composites, modules, module_paths, &structure, &extras);
  fb::FinishIndexBuffer(builder, root);
  auto bytes = finished_bytes(builder);
  put_structure_digest(bytes);
  return bytes;
}

}  // namespace weightmap::format
