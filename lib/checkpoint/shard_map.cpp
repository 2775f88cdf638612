// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/shard_map.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "checkpoint/json_events.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kWeightMap = "weight_map";

template <typename... Pieces>
Error corrupt(const Pieces&... pieces) {
  return {ErrorCode::kCorrupt, concat(pieces...)};
}

// The first of two equal texts, or null.
const std::string_view* find_twin(std::vector<std::string_view>& texts) {
  std::ranges::sort(texts);
  const auto twin = std::ranges::adjacent_find(texts);
  return twin == texts.end() ? nullptr : &*twin;
}

// Any JSON value as nodes of a graph, children first.
class JsonValues {
 public:
  explicit JsonValues(ValueGraph& values) : values_(values) {}

  std::uint32_t add_text(std::string_view text) { return values_.add_text(ValueKind::kStr, text); }
  std::uint32_t add_scalar(const JsonScalar& value);
  Result<void> check_keys(std::span<const std::uint32_t> pairs) const;
  Result<std::uint32_t> add_container(bool is_object, std::span<const std::uint32_t> children);

 private:
  ValueGraph& values_;
};

std::uint32_t JsonValues::add_scalar(const JsonScalar& value) {
  switch (value.kind) {
    case JsonKind::kNull: return values_.add_number(ValueKind::kNone, 0);
    case JsonKind::kBool: return values_.add_number(ValueKind::kBool, value.number);
    case JsonKind::kInt: return values_.add_number(ValueKind::kInt, value.number);
    case JsonKind::kFloat:
      return values_.add_number(ValueKind::kFloat, std::bit_cast<std::uint64_t>(value.real));
    case JsonKind::kString: return add_text(value.text);
    case JsonKind::kUnsigned: break;
  }
  if (value.number <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return values_.add_number(ValueKind::kInt, value.number);
  }
  std::string digits;
  for (unsigned shift = 0; shift < 64; shift += 8)
    digits += static_cast<char>(value.number >> shift & 0xFFU);
  return values_.add_text(ValueKind::kBigInt, digits + '\0');
}

Result<void> JsonValues::check_keys(std::span<const std::uint32_t> pairs) const {
  std::vector<std::string_view> keys;
  for (std::size_t i = 0; i < pairs.size(); i += 2)
    keys.push_back(values_.text(pairs[i]));
  const auto* const twin = find_twin(keys);
  return twin == nullptr ? Result<void>() : corrupt("has the key ", quoted(*twin), " twice");
}

Result<std::uint32_t> JsonValues::add_container(bool is_object,
                                                std::span<const std::uint32_t> children) {
  if (!is_object) return values_.add_parent(ValueKind::kList, children);
  if (const auto checked = check_keys(children); !checked) return checked.error();
  return values_.add_parent(ValueKind::kDict, children);
}

class IndexListener : public JsonListener {
 public:
  explicit IndexListener(ValueGraph& values) : values_(values) {}

  Result<ShardMap> result() &&;

  Result<void> scalar(const JsonScalar& value) override;
  Result<void> key(std::string_view name) override;
  Result<void> open_object() override { return open(true); }
  Result<void> open_array() override { return open(false); }
  Result<void> close() override;

 private:
  // An object or array that is read, outside of weight_map.
  struct Frame {
    bool is_object = false;
    std::vector<std::uint32_t> children;
  };

  Result<void> open(bool is_object);
  void add_entry(std::string_view file);

  JsonValues values_;
  ShardMap map_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;  // of files
  std::vector<Frame> frames_;
  std::string name_;          // the last key in weight_map
  bool expects_map_ = false;  // the last key was `weight_map`
  bool in_map_ = false;
  bool had_map_ = false;
};

Result<void> IndexListener::key(std::string_view name) {
  if (in_map_) {
    name_ = name;
    return {};
  }
  expects_map_ = frames_.size() == 1 && name == kWeightMap;
  if (!expects_map_) {
    frames_.back().children.push_back(values_.add_text(name));
  } else if (std::exchange(had_map_, true)) {
    return corrupt("has two `weight_map`");
  }
  return {};
}

Result<void> IndexListener::scalar(const JsonScalar& value) {
  if (in_map_ && value.kind == JsonKind::kString) {
    add_entry(value.text);
    return {};
  }
  if (in_map_) {
    return corrupt("weight_map: ", quoted(name_), ": ", json_kind_text(value.kind),
                   " is no name of a file");
  }
  if (expects_map_) return corrupt("weight_map: is no object");
  if (!frames_.empty()) frames_.back().children.push_back(values_.add_scalar(value));
  return {};
}

void IndexListener::add_entry(std::string_view file) {
  auto number = numbers_.find(file);
  if (number == numbers_.end()) {
    number = numbers_.emplace(file, static_cast<std::uint32_t>(map_.files.size())).first;
    map_.files.emplace_back(file);
  }
  map_.entries.push_back({.name = name_, .file = number->second});
}

Result<void> IndexListener::open(bool is_object) {
  if (in_map_) return corrupt("weight_map: ", quoted(name_), ": is no name of a file");
  if (std::exchange(expects_map_, false)) {
    if (!is_object) return corrupt("weight_map: is no object");
    in_map_ = true;
    return {};
  }
  frames_.push_back({.is_object = is_object});
  return {};
}

Result<void> IndexListener::close() {
  if (std::exchange(in_map_, false)) return {};
  const Frame frame = std::move(frames_.back());
  frames_.pop_back();
  if (frames_.empty()) {
    map_.extra = frame.children;
    return frame.is_object ? values_.check_keys(map_.extra) : Result<void>();
  }
  const auto node = values_.add_container(frame.is_object, frame.children);
  if (!node) return node.error();
  frames_.back().children.push_back(*node);
  return {};
}

Result<ShardMap> IndexListener::result() && {
  if (!had_map_) {
    return Error(ErrorCode::kWrongKind,
                 "is a JSON text, but no index of a sharded checkpoint: it has no `weight_map`");
  }
  std::vector<std::string_view> names;
  for (const ShardMap::Entry& entry : map_.entries)
    names.emplace_back(entry.name);
  if (const auto* const twin = find_twin(names)) {
    return corrupt("weight_map: has the name ", quoted(*twin), " twice");
  }
  return std::move(map_);
}

}  // namespace

Result<ShardMap> parse_shard_map(std::span<const std::byte> text, ValueGraph& values) {
  IndexListener listener(values);
  if (const auto read = read_json(text, listener); !read) return read.error();
  return std::move(listener).result();
}

}  // namespace weightmap::checkpoint
