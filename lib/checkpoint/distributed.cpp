// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/distributed.h"

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/chunked_storage.h"
#include "checkpoint/dcp_metadata.h"
#include "checkpoint/merge.h"
#include "checkpoint/nested_values.h"
#include "checkpoint/pickle.h"
#include "checkpoint/source_file.h"

namespace weightmap::checkpoint {
namespace {

constexpr GlobalName kEnumAccess{"builtins", "getattr"};

class DistributedCheckpoint {
 public:
  DistributedCheckpoint(io::File metadata,
                        const io::Directory& directory,
                        const ReadOptions& options)
      : directory_(directory), options_(options) {
    whole_.files.push_back(std::move(metadata));
  }

  Result<Checkpoint> read();

 private:
  Result<Checkpoint> list_globals();
  Result<void> read_metadata();
  Result<void> open_files();
  Result<void> check_whole_files() const;
  Result<void> check_items() const;
  Result<std::uint32_t> add_entry(const DcpEntry& entry);
  Result<std::uint32_t> add_value(const DcpEntry& entry);
  Result<std::uint32_t> add_part(const Checkpoint& part,
                                 const DcpEntry& entry,
                                 const DcpItem& item);
  Result<std::uint32_t> add_tensor(const DcpEntry& entry);
  Result<std::uint32_t> add_whole(const DcpEntry& entry);
  Result<std::uint32_t> add_assembled(const DcpEntry& entry, std::uint64_t size_bytes);
  std::uint32_t add_row_major(const DcpEntry& entry,
                              const std::vector<std::int64_t>& strides,
                              std::uint32_t storage);
  Result<void> check_chunks(const DcpEntry& entry);
  Result<Checkpoint> read_chunk(const DcpEntry& entry, const DcpChunk& chunk) const;
  Result<Chunk> place_chunk(const DcpEntry& entry, const DcpChunk& chunk) const;
  std::vector<NestedValues::Step> path_of(const DcpEntry& entry) const;

  io::File slice(const DcpItem& item) const {
    return whole_.files[item.file + 1].slice(item.offset_bytes, item.size_bytes);
  }
  Error error(const Error& from) const {
    return {from.code(), concat(whole_.files.front().path(), ": ", from.message())};
  }
  Error entry_error(const DcpEntry& entry, ErrorCode code, std::string_view message) const {
    return error({code, concat(quoted(entry.name), ": ", message)});
  }

  const io::Directory& directory_;
  const ReadOptions& options_;
  std::vector<std::byte> bytes_;  // of the pickle
  Pickle pickle_;
  DcpMetadata metadata_;
  Checkpoint whole_;  // its files: `.metadata`, then the others
  std::uint64_t comparisons_left_ = kMaxChunkComparisons;
};

Result<Checkpoint> DistributedCheckpoint::read() {
  if (auto done = read_metadata(); !done) return done.error();
  if (auto done = open_files(); !done) return done.error();
  if (auto done = check_whole_files(); !done) return done.error();
  if (auto done = check_items(); !done) return done.error();
  whole_.kind = concat("distributed checkpoint, ", metadata_.files.size(),
                       metadata_.files.size() == 1 ? " file" : " files");
  if (options_.globals != nullptr) return list_globals();
  NestedValues nested;
  for (const DcpEntry& entry : metadata_.entries) {
    const auto node = add_entry(entry);
    if (!node) return node.error();
    const auto placed = nested.add(path_of(entry), *node);
    if (!placed) return entry_error(entry, placed.error().code(), placed.error().message());
  }
  if (auto done = nested.finish(whole_.values); !done) return error(done.error());
  return std::move(whole_);
}

// Those of `.metadata` are listed by now.
Result<Checkpoint> DistributedCheckpoint::list_globals() {
  for (const DcpEntry& entry : metadata_.entries) {
    if (!entry.is_tensor) {
      if (auto part = read_source_file(slice(entry.item), options_); !part) return part;
    }
    for (const DcpChunk& chunk : entry.chunks) {
      if (auto part = read_source_file(slice(chunk.item), options_); !part) return part;
    }
  }
  return std::move(whole_);
}

Result<void> DistributedCheckpoint::read_metadata() {
  const io::File& file = whole_.files.front();
  if (file.size_bytes() > PickleLimits::kMaxBytes) {
    return error({ErrorCode::kUnsupported,
                  concat("has ", file.size_bytes(), " bytes, at most ", PickleLimits::kMaxBytes)});
  }
  bytes_.resize(file.size_bytes());
  if (auto read = file.read_at(0, bytes_); !read) return read.error();
  auto pickle = decode_pickle(bytes_, [this](const GlobalName& name) {
    const bool is_taken = options_.globals == nullptr && modern_name(name) == kEnumAccess;
    return is_taken ? Result<void>() : check_global(name, false, options_.globals);
  });
  if (!pickle) return error(pickle.error());
  pickle_ = *std::move(pickle);
  auto metadata = read_dcp_metadata(pickle_);
  if (!metadata) return error(metadata.error());
  metadata_ = *std::move(metadata);
  return {};
}

Result<void> DistributedCheckpoint::open_files() {
  for (const std::string_view name : metadata_.files) {
    auto file = directory_.open_file(name);
    if (!file) return file.error();
    const auto twin = std::ranges::find(whole_.files, file->identity(), &io::File::identity);
    if (twin != whole_.files.end()) {
      return error({ErrorCode::kCorrupt,
                    concat(quoted(name), " is the same file as ", quoted(twin->path()))});
    }
    whole_.files.push_back(*std::move(file));
  }
  return {};
}

Result<void> DistributedCheckpoint::check_whole_files() const {
  if (!options_.whole_files || metadata_.files.empty()) return {};
  return Error(ErrorCode::kUnsupported,
               concat(whole_.files[1].path(),
                      ": holds the archives of a distributed checkpoint end to end, which an index "
                      "cannot refer to: use weightmap convert"));
}

// Items lie inside their files and apart from each other, so storages do.
Result<void> DistributedCheckpoint::check_items() const {
  std::vector<std::pair<DcpItem, const DcpEntry*>> items;
  for (const DcpEntry& entry : metadata_.entries) {
    if (!entry.is_tensor) items.emplace_back(entry.item, &entry);
    for (const DcpChunk& chunk : entry.chunks)
      items.emplace_back(chunk.item, &entry);
  }
  for (const auto& [item, entry] : items) {
    const io::File& file = whole_.files[item.file + 1];
    if (!range_fits(item.offset_bytes, item.size_bytes, file.size_bytes())) {
      return Error(ErrorCode::kCorrupt,
                   concat(file.path(), ": ", quoted(entry->name),
                          ": the file is cut short at byte ", file.size_bytes(), ", expected ",
                          item.size_bytes, " bytes from byte ", item.offset_bytes, " on"));
    }
  }
  std::ranges::sort(items, {}, [](const auto& pair) {
    return std::tuple(pair.first.file, pair.first.offset_bytes, pair.first.size_bytes);
  });
  const auto overlap = std::ranges::adjacent_find(items, [](const auto& a, const auto& b) {
    return a.first.file == b.first.file &&
           b.first.offset_bytes - a.first.offset_bytes < a.first.size_bytes;
  });
  if (overlap == items.end()) return {};
  return Error(ErrorCode::kCorrupt,
               concat(whole_.files[overlap->first.file + 1].path(), ": the bytes of ",
                      quoted(overlap->second->name), " and of ",
                      quoted((overlap + 1)->second->name), " overlap"));
}

// The steps of the path if they spell the name, as they do when PyTorch flattens; else the name.
std::vector<NestedValues::Step> DistributedCheckpoint::path_of(const DcpEntry& entry) const {
  std::vector<NestedValues::Step> steps;
  std::string_view left = entry.name;
  for (const ValueId id : entry.path) {
    const PickleValue& value = pickle_.values[id];
    const bool is_place = value.kind == PickleKind::kInt;
    const std::string digits = is_place ? concat(value.integer) : std::string();
    const std::string_view text = is_place ? digits : pickle_.text(value);
    const bool follows = steps.empty() || left.starts_with('.');
    if (!steps.empty() && follows) left.remove_prefix(1);
    if (!follows || !left.starts_with(text)) return {{.text = std::string(entry.name)}};
    left.remove_prefix(text.size());
    steps.push_back({.text = std::string(text),
                     .is_place = is_place,
                     .place = is_place ? static_cast<std::uint64_t>(value.integer) : 0});
  }
  if (steps.empty() || !left.empty()) return {{.text = std::string(entry.name)}};
  return steps;
}

Result<std::uint32_t> DistributedCheckpoint::add_entry(const DcpEntry& entry) {
  return entry.is_tensor ? add_tensor(entry) : add_value(entry);
}

Result<std::uint32_t> DistributedCheckpoint::add_value(const DcpEntry& entry) {
  const auto part = read_source_file(slice(entry.item), options_);
  if (!part) return part.error();
  return add_part(*part, entry, entry.item);
}

Result<std::uint32_t> DistributedCheckpoint::add_part(const Checkpoint& part,
                                                      const DcpEntry& entry,
                                                      const DcpItem& item) {
  const auto merged = merge_part(
      part, {.file = item.file + 1, .offset_bytes = item.offset_bytes, .name = entry.name}, whole_);
  if (!merged) return error(merged.error());
  return merged->first_node + part.values.root();
}

Result<std::uint32_t> DistributedCheckpoint::add_tensor(const DcpEntry& entry) {
  const DtypeInfo& info = dtype_info(entry.dtype);
  if (info.name.starts_with('q') || info.element_bits % 8 != 0) {
    return entry_error(entry, ErrorCode::kUnsupported, concat("has the dtype ", info.name));
  }
  const auto count = checked_element_count(entry.shape);
  const auto size =
      count ? checked_mul(static_cast<std::uint64_t>(*count), std::uint64_t{info.element_bits} / 8)
            : std::nullopt;
  const auto strides = checked_contiguous_strides(entry.shape);
  if (!size || !strides) {
    return entry_error(entry, ErrorCode::kCorrupt,
                       concat("has too large a shape, ", list_text(entry.shape)));
  }
  if (auto checked = check_chunks(entry); !checked) return error(checked.error());
  if (*count == 0) return add_row_major(entry, *strides, kNoStorage);
  if (entry.chunks.size() == 1) return add_whole(entry);
  const auto storage = add_assembled(entry, *size);
  if (!storage) return storage.error();
  return add_row_major(entry, *strides, *storage);
}

Result<void> DistributedCheckpoint::check_chunks(const DcpEntry& entry) {
  std::vector<Box> boxes;
  for (const DcpChunk& chunk : entry.chunks)
    boxes.push_back({.offsets = chunk.offsets, .sizes = chunk.sizes});
  auto checked = check_tiling(entry.shape, boxes, comparisons_left_);
  return checked ? checked : checked.error().with_context(quoted(entry.name));
}

std::uint32_t DistributedCheckpoint::add_row_major(const DcpEntry& entry,
                                                   const std::vector<std::int64_t>& strides,
                                                   std::uint32_t storage) {
  whole_.tensors.push_back({.dtype = entry.dtype,
                            .storage = storage,
                            .dims_begin = static_cast<std::uint32_t>(whole_.dims.size()),
                            .rank = static_cast<std::uint8_t>(entry.shape.size())});
  whole_.dims.insert(whole_.dims.end(), entry.shape.begin(), entry.shape.end());
  whole_.dims.insert(whole_.dims.end(), strides.begin(), strides.end());
  return whole_.values.add_number(ValueKind::kTensor, whole_.tensors.size() - 1);
}

Result<std::uint32_t> DistributedCheckpoint::add_whole(const DcpEntry& entry) {
  const DcpChunk& chunk = entry.chunks.front();
  const auto part = read_chunk(entry, chunk);
  if (!part) return part.error();
  return add_part(*part, entry, chunk.item);
}

// The checkpoint that a chunk is: its root is a tensor as the metadata describe it.
Result<Checkpoint> DistributedCheckpoint::read_chunk(const DcpEntry& entry,
                                                     const DcpChunk& chunk) const {
  auto part = read_source_file(slice(chunk.item), options_);
  if (!part) return part;
  const auto refuse = [&](std::string_view what) {
    return Error(ErrorCode::kCorrupt,
                 concat(part->files.front().path(), ": ", quoted(entry.name), ": ", what));
  };
  const ValueNode& root = part->values.node(part->values.root());
  if (root.kind != ValueKind::kTensor) return refuse("the chunk is no tensor");
  const Tensor& tensor = part->tensors[root.number];
  if (tensor.dtype != entry.dtype || !std::ranges::equal(part->shape(tensor), chunk.sizes)) {
    return refuse(concat("the chunk is of ", dtype_name(tensor.dtype),
                         list_text(part->shape(tensor)), ", expected ", dtype_name(entry.dtype),
                         list_text(chunk.sizes)));
  }
  if (tensor.storage == kNoStorage) return refuse("the chunk has no bytes");
  return part;
}

Result<Chunk> DistributedCheckpoint::place_chunk(const DcpEntry& entry,
                                                 const DcpChunk& chunk) const {
  const auto part = read_chunk(entry, chunk);
  if (!part) return part.error();
  const Tensor& tensor = part->tensors[part->values.node(part->values.root()).number];
  const Storage& storage = part->storages[tensor.storage];
  if (!storage.is_plain() || tensor.conj || tensor.neg) {
    return Error(ErrorCode::kUnsupported,
                 concat(part->files.front().path(), ": ", quoted(entry.name),
                        ": is one of several chunks, and not stored plainly"));
  }
  return make_chunk(
      entry.dtype, entry.shape,
      {.file = chunk.item.file + 1,
       .begin_bytes = chunk.item.offset_bytes + storage.offset_bytes + tensor.offset_bytes,
       .offsets = chunk.offsets,
       .sizes = chunk.sizes,
       .strides = part->strides(tensor)});
}

Result<std::uint32_t> DistributedCheckpoint::add_assembled(const DcpEntry& entry,
                                                           std::uint64_t size_bytes) {
  ChunkedStorage chunked;
  for (const DcpChunk& chunk : entry.chunks) {
    auto placed = place_chunk(entry, chunk);
    if (!placed) return placed.error();
    chunked.chunks.push_back(*std::move(placed));
  }
  whole_.storages.push_back({.key = std::string(entry.name),
                             .file = chunked.chunks.front().file,
                             .size_bytes = size_bytes,
                             .packing = Packing::kChunked,
                             .chunked = static_cast<std::uint32_t>(whole_.chunked.size())});
  whole_.chunked.push_back(std::move(chunked));
  return static_cast<std::uint32_t>(whole_.storages.size() - 1);
}

}  // namespace

Result<Checkpoint> read_distributed(io::File metadata,
                                    const io::Directory& directory,
                                    const ReadOptions& options) {
  return DistributedCheckpoint(std::move(metadata), directory, options).read();
}

}  // namespace weightmap::checkpoint
