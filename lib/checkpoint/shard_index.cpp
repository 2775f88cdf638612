// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/shard_index.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "checkpoint/json_events.h"
#include "checkpoint/merge.h"
#include "checkpoint/shard_map.h"
#include "checkpoint/source_file.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kShardsAttribute = "shards";

// A name that a shard has.
struct Held {
  std::uint32_t shard = 0;  // in ShardMap::files
  std::uint32_t key = 0;    // nodes of the whole
  std::uint32_t value = 0;
  bool is_mapped = false;  // weight_map has it
};

class ShardedCheckpoint {
 public:
  ShardedCheckpoint(io::File index, const io::Directory& directory, const ReadOptions& options)
      : directory_(directory), options_(options) {
    whole_.files.push_back(std::move(index));
  }

  Result<Checkpoint> read();

 private:
  Result<void> read_map();
  Result<void> read_shards();
  Result<void> add_shard(std::uint32_t shard, io::File file);
  Result<void> add_names(std::uint32_t shard, const Checkpoint& part, const MergedPart& merged);
  Result<void> sort_names();
  Result<void> add_root();
  Result<std::vector<std::uint32_t>> root_pairs();
  Result<const Held*> held_by(const ShardMap::Entry& entry) const;
  Result<void> check_extra_fields() const;

  std::string_view name_of(const Held& held) const { return whole_.values.text(held.key); }
  const std::string& path_of(std::uint32_t shard) const { return whole_.files[shard + 1].path(); }
  Error error(ErrorCode code, std::string_view message) const {
    return {code, concat(whole_.files.front().path(), ": ", message)};
  }

  const io::Directory& directory_;
  const ReadOptions& options_;
  Checkpoint whole_;  // its files: the index, then the shards
  ShardMap map_;
  std::optional<std::string> shard_kind_;        // of all shards, as long as they are alike
  std::vector<Held> held_;                       // shard by shard
  std::vector<std::uint32_t> by_name_;           // places in held_
  std::vector<std::uint32_t> shard_attributes_;  // key, value ...
};

Result<Checkpoint> ShardedCheckpoint::read() {
  if (auto done = read_map(); !done) return done.error();
  if (auto done = check_extra_fields(); !done) return done.error();
  if (auto done = read_shards(); !done) return done.error();
  if (options_.globals == nullptr) {
    if (auto done = sort_names(); !done) return done.error();
    if (auto done = add_root(); !done) return done.error();
  }
  const std::string kind = shard_kind_.value_or("checkpoint");
  whole_.kind = concat("sharded ", kind == "safetensors file" ? "safetensors" : kind, ", ",
                       map_.files.size(), map_.files.size() == 1 ? " file" : " files");
  return std::move(whole_);
}

Result<void> ShardedCheckpoint::read_map() {
  const io::File& index = whole_.files.front();
  if (index.size_bytes() > kMaxJsonBytes) {
    return error(ErrorCode::kUnsupported, concat("is a JSON text of ", index.size_bytes(),
                                                 " bytes, at most ", kMaxJsonBytes, " are read"));
  }
  std::vector<std::byte> text(index.size_bytes());
  if (auto read = index.read_at(0, text); !read) return read.error();
  auto map = parse_shard_map(text, whole_.values);
  if (!map) return error(map.error().code(), map.error().message());
  map_ = *std::move(map);
  return {};
}

Result<void> ShardedCheckpoint::check_extra_fields() const {
  for (std::size_t i = 0; i < map_.extra.size(); i += 2) {
    if (whole_.values.text(map_.extra[i]) == kShardsAttribute) {
      return error(ErrorCode::kUnsupported, "has a field `shards`, which is not known");
    }
  }
  return {};
}

Result<void> ShardedCheckpoint::read_shards() {
  for (std::uint32_t shard = 0; shard < map_.files.size(); ++shard) {
    auto file = directory_.open_file(map_.files[shard]);
    if (!file) return file.error();
    const auto twin = std::ranges::find(whole_.files, file->identity(), &io::File::identity);
    if (twin != whole_.files.end()) {
      return error(ErrorCode::kCorrupt, concat("shard ", quoted(map_.files[shard]),
                                               " is the same file as ", quoted(twin->path())));
    }
    whole_.files.push_back(*file);
    if (auto added = add_shard(shard, *std::move(file)); !added) return added;
  }
  return {};
}

Result<void> ShardedCheckpoint::add_shard(std::uint32_t shard, io::File file) {
  const auto part = read_source_file(std::move(file), options_);
  if (!part) return part.error();
  if (shard == 0) shard_kind_ = part->kind;
  if (shard_kind_ && *shard_kind_ != part->kind) shard_kind_.reset();
  if (options_.globals != nullptr) return {};  // they are listed, and there may be no values
  const auto merged = merge_part(*part, {.file = shard + 1}, whole_);
  if (!merged) return error(merged.error().code(), merged.error().message());
  return add_names(shard, *part, *merged);
}

Result<void> ShardedCheckpoint::add_names(std::uint32_t shard,
                                          const Checkpoint& part,
                                          const MergedPart& merged) {
  const ValueGraph& values = part.values;
  const ValueNode& root = values.node(values.root());
  if (root.kind != ValueKind::kDict && root.kind != ValueKind::kOrderedDict) {
    return Error(ErrorCode::kCorrupt, concat(path_of(shard), ": is a shard, but no dict but a ",
                                             value_kind_name(root.kind)));
  }
  const auto items = values.items(values.root());
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (values.node(items[i]).kind != ValueKind::kStr) {
      return Error(ErrorCode::kCorrupt,
                   concat(path_of(shard), ": is a shard with a key that is no string"));
    }
    held_.push_back({.shard = shard,
                     .key = merged.first_node + items[i],
                     .value = merged.first_node + items[i + 1]});
  }
  if (root.has_attributes) {
    shard_attributes_.push_back(whole_.values.add_text(ValueKind::kStr, map_.files[shard]));
    shard_attributes_.push_back(merged.first_node + values.children(values.root()).back());
  }
  return {};
}

Result<void> ShardedCheckpoint::sort_names() {
  by_name_.resize(held_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0U);
  const auto name = [this](std::uint32_t place) { return name_of(held_[place]); };
  std::ranges::sort(by_name_, {}, name);
  const auto twin = std::ranges::adjacent_find(by_name_, {}, name);
  if (twin == by_name_.end()) return {};
  return error(ErrorCode::kCorrupt, concat(quoted(name(*twin)), " is in two shards, ",
                                           quoted(map_.files[held_[*twin].shard]), " and ",
                                           quoted(map_.files[held_[*(twin + 1)].shard])));
}

Result<const Held*> ShardedCheckpoint::held_by(const ShardMap::Entry& entry) const {
  const auto name = [this](std::uint32_t place) { return name_of(held_[place]); };
  const std::string_view wanted = entry.name;
  const auto found = std::ranges::lower_bound(by_name_, wanted, {}, name);
  if (found == by_name_.end() || name(*found) != entry.name) {
    return Error(ErrorCode::kCorrupt, concat(path_of(entry.file), ": has no ", quoted(entry.name),
                                             ", which the index says is there"));
  }
  const Held& held = held_[*found];
  if (held.shard == entry.file) return &held;
  return error(ErrorCode::kCorrupt,
               concat("weight_map: ", quoted(entry.name), " is in ", quoted(map_.files[held.shard]),
                      ", not in ", quoted(map_.files[entry.file])));
}

Result<std::vector<std::uint32_t>> ShardedCheckpoint::root_pairs() {
  std::vector<std::uint32_t> pairs;
  for (const ShardMap::Entry& entry : map_.entries) {
    const auto held = held_by(entry);
    if (!held) return held.error();
    held_[static_cast<std::size_t>(*held - held_.data())].is_mapped = true;
    pairs.insert(pairs.end(), {(*held)->key, (*held)->value});
  }
  for (const Held& held : held_) {
    if (!held.is_mapped) pairs.insert(pairs.end(), {held.key, held.value});
  }
  return pairs;
}

Result<void> ShardedCheckpoint::add_root() {
  auto children = root_pairs();
  if (!children) return children.error();
  ValueGraph& values = whole_.values;
  std::vector<std::uint32_t> attributes = map_.extra;
  if (!shard_attributes_.empty()) {
    attributes.push_back(values.add_text(ValueKind::kStr, kShardsAttribute));
    attributes.push_back(values.add_parent(ValueKind::kDict, shard_attributes_));
  }
  const bool has_attributes = !attributes.empty();
  if (has_attributes) children->push_back(values.add_parent(ValueKind::kDict, attributes));
  values.add_parent(ValueKind::kDict, *children, {}, has_attributes);
  return {};
}

}  // namespace

bool is_shard_index_name(std::string_view name) {
  return name.ends_with(".json") && (name.find(".safetensors.index.") != std::string_view::npos ||
                                     name.find(".bin.index.") != std::string_view::npos);
}

Result<Checkpoint> read_shard_index(io::File index,
                                    const io::Directory& directory,
                                    const ReadOptions& options) {
  return ShardedCheckpoint(std::move(index), directory, options).read();
}

}  // namespace weightmap::checkpoint
