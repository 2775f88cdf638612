// SPDX-License-Identifier: Apache-2.0
#include "format/index_builder.h"

#include <algorithm>
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

// More than tables, lengths and padding of an index take beside its vectors.
constexpr std::uint64_t kIndexOverheadBytes = 1024;

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

// Sums of what is stored in memory already: they cannot wrap.
std::uint64_t room_for(const IndexParts& parts, std::size_t segments) {
  return kIndexOverheadBytes + std::span(parts.entries).size_bytes() + parts.names.size() +
         std::span(parts.dims).size_bytes() + std::span(parts.order).size_bytes() +
         std::span(parts.buckets).size_bytes() + segments * sizeof(fb::Segment) +
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

auto own_data_file(flatbuffers::FlatBufferBuilder& builder, const Surroundings& around) {
  const auto file = fb::CreateDataFile(builder, 0, fb::DataFileKind::self, around.file_size_bytes,
                                       around.alignment_bytes, nullptr, 0,
                                       static_cast<std::uint32_t>(around.segments.size()));
  return builder.CreateVector(&file, 1);
}

std::vector<fb::Segment> stored_segments(std::span<const Range> places) {
  std::vector<fb::Segment> segments;
  segments.reserve(places.size());
  for (const Range& place : places)
    segments.emplace_back(place.offset_bytes, place.size_bytes);
  return segments;
}

}  // namespace

IndexView IndexParts::view() const {
  return {.root = nullptr,
          .entries = entries,
          .names = names,
          .dims = dims,
          .order = order,
          .buckets = buckets,
          .segments = {},
          .modules = modules,
          .module_paths = module_paths};
}

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
  const std::uint64_t bytes = room_for(parts, content.segment_sizes_bytes.size());
  if (bytes <= kMaxIndexBytes) return parts;
  return unsupported("the index would have ", bytes, " bytes vs ", kMaxIndexBytes, " at most");
}

std::vector<std::byte> build_index(const IndexParts& parts, const Surroundings& around) {
  flatbuffers::FlatBufferBuilder builder(room_for(parts, around.segments.size()));
  const fb::Digest structure = stored_digest(structure_digest_of(parts.view()));
  const fb::Digest extras = stored_digest(around.extras_digest);
  // What a look-up needs is built last and so stands first, near the root.
  const auto module_paths = byte_vector(builder, parts.module_paths);
  const auto modules = struct_vector<fb::Module>(builder, parts.modules);
  const auto data_files = own_data_file(builder, around);
  const auto segments = struct_vector<fb::Segment>(builder, stored_segments(around.segments));
  const auto dims = scalar_vector<std::int64_t>(builder, parts.dims);
  const auto names = byte_vector(builder, parts.names);
  const auto entries = struct_vector<fb::Entry>(builder, parts.entries);
  const auto order = struct_vector<fb::Order>(builder, parts.order);
  const auto buckets = scalar_vector<std::uint32_t>(builder, parts.buckets);
  const auto root = fb::CreateIndex(builder, entries, names, dims, order, buckets, segments,
                                    data_files, 0, modules, module_paths, &structure, &extras);
  fb::FinishIndexBuffer(builder, root);
  return finished_bytes(builder);
}

}  // namespace weightmap::format
