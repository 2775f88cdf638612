// SPDX-License-Identifier: Apache-2.0
// Equal keys are found by sorting, so that keys chosen to collide cost nothing.
#include "checkpoint/value_keys.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <compare>
#include <deque>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

// Tuples as keys lie in each other at most this deep.
constexpr int kMaxKeyDepth = 50;

// What of a key counts when it is compared with others.
struct Key {
  char family = 0;           // keys of two families are never equal
  std::uint64_t number = 0;  // a value, or a hash of the text
  std::string_view text;

  friend auto operator<=>(const Key&, const Key&) = default;
};

struct PlacedKey {
  Key key;
  std::uint32_t place = 0;  // among the keys of one container
};

class KeyReader {
 public:
  KeyReader(const GraphBuilder& graph, Budget& budget) : graph_(graph), budget_(budget) {}

  Result<Key> read(std::uint32_t node) { return read(node, 0); }
  bool is_spent() const { return budget_.is_spent(); }

 private:
  Result<Key> read(std::uint32_t node, int depth);
  Result<Key> read_items(std::uint32_t node, char family, int depth);
  Key text_key(char family, std::string_view text);
  Key number_key(double value, std::uint32_t node) const;

  const GraphBuilder& graph_;
  Budget& budget_;
  std::deque<std::string> texts_;  // of keys made of several parts; their addresses stay
};

Key KeyReader::text_key(char family, std::string_view text) {
  budget_.spend(1 + text.size() / 8);
  return {family, name_hash(text), text};
}

// An integral float is the integer, and NaN equals nothing but the object that it is.
Key KeyReader::number_key(double value, std::uint32_t node) const {
  constexpr double kInt64End = 9223372036854775808.0;
  if (std::isnan(value)) return {'o', node, {}};
  if (std::trunc(value) == value && value >= -kInt64End && value < kInt64End) {
    return {'i', static_cast<std::uint64_t>(static_cast<std::int64_t>(value)), {}};
  }
  return {'f', std::bit_cast<std::uint64_t>(value), {}};
}

Result<Key> KeyReader::read(std::uint32_t node, int depth) {
  const ValueNode& value = graph_.node(node);
  switch (value.kind) {
    case ValueKind::kNone: return Key{'n', 0, {}};
    case ValueKind::kBool:
    case ValueKind::kInt: return Key{'i', value.number, {}};
    case ValueKind::kBigInt: return text_key('I', graph_.text(node));
    case ValueKind::kFloat: return number_key(std::bit_cast<double>(value.number), node);
    case ValueKind::kComplex: return text_key('c', graph_.text(node));
    case ValueKind::kStr: return text_key('s', graph_.text(node));
    case ValueKind::kBytes: return text_key('b', graph_.text(node));
    case ValueKind::kDtype: return Key{'d', value.number, {}};
    case ValueKind::kDevice: return text_key('v', graph_.text(node));
    case ValueKind::kGlobal: return text_key('g', graph_.text(node));
    case ValueKind::kTuple:
    case ValueKind::kSize: return read_items(node, 't', depth);
    case ValueKind::kFrozenSet: return read_items(node, 'z', depth);
    case ValueKind::kTensor:
    case ValueKind::kComposite:  // Python compares these keys by identity
    case ValueKind::kOpaque:
    case ValueKind::kObject: return Key{'o', node, {}};
    case ValueKind::kList:
    case ValueKind::kSet:
    case ValueKind::kDict:
    case ValueKind::kOrderedDict:
    case ValueKind::kCounter:
    case ValueKind::kDefaultDict:
    case ValueKind::kByteArray: break;
  }
  return Error(ErrorCode::kCorrupt,
               concat("a ", value_kind_name(value.kind), " cannot be a key or an item of a set"));
}

// The items' keys one after another, each with its length; those of a set in ascending order.
Result<Key> KeyReader::read_items(std::uint32_t node, char family, int depth) {
  if (depth == kMaxKeyDepth) {
    return Error(ErrorCode::kUnsupported,
                 concat("a key nested deeper than ", kMaxKeyDepth, " levels"));
  }
  std::vector<Key> keys;
  for (const std::uint32_t item : graph_.children(node)) {
    if (budget_.is_spent()) break;
    auto key = read(item, depth + 1);
    if (!key) return key;
    keys.push_back(*key);
  }
  if (graph_.node(node).kind == ValueKind::kFrozenSet) std::ranges::sort(keys);
  std::string text;
  for (const Key& key : keys) {
    text += concat(std::string_view(&key.family, 1), key.number, ":", key.text.size(), ":");
    text += key.text;
  }
  texts_.push_back(std::move(text));
  return text_key(family, texts_.back());
}

// The keys at every `step`th node, equal ones side by side and in the order of their places. As far
// as the budget goes: whoever asked stops when it is spent.
Result<std::vector<PlacedKey>> sorted_keys(KeyReader& reader,
                                           const std::vector<std::uint32_t>& nodes,
                                           std::size_t step) {
  std::vector<PlacedKey> keys;
  keys.reserve(nodes.size() / step);
  for (std::size_t at = 0; at < nodes.size(); at += step) {
    const auto key = reader.read(nodes[at]);
    if (!key) return key.error();
    keys.push_back({*key, static_cast<std::uint32_t>(keys.size())});
    if (reader.is_spent()) break;
  }
  std::ranges::sort(keys, [](const PlacedKey& a, const PlacedKey& b) {
    const auto order = a.key <=> b.key;
    return order < 0 || (order == 0 && a.place < b.place);
  });
  return keys;
}

// For each place, the last one with an equal key, if it is the first; none if it is not.
constexpr std::uint32_t kDropped = 0xFFFFFFFFU;

std::vector<std::uint32_t> last_places(const std::vector<PlacedKey>& sorted) {
  std::vector<std::uint32_t> last(sorted.size(), kDropped);
  std::uint32_t first_of_run = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i == 0 || sorted[i].key != sorted[i - 1].key) first_of_run = sorted[i].place;
    last[first_of_run] = sorted[i].place;
  }
  return last;
}

}  // namespace

Result<void> merge_equal_keys(const GraphBuilder& graph,
                              Budget& budget,
                              std::vector<std::uint32_t>& pairs) {
  KeyReader reader(graph, budget);
  const auto keys = sorted_keys(reader, pairs, 2);
  if (!keys) return keys.error();
  const std::vector<std::uint32_t> last = last_places(*keys);
  std::size_t kept = 0;
  for (std::size_t place = 0; place < last.size(); ++place) {
    if (last[place] == kDropped) continue;
    pairs[kept++] = pairs[place * 2];
    pairs[kept++] = pairs[std::size_t{last[place]} * 2 + 1];
  }
  pairs.resize(kept);
  return {};
}

Result<void> merge_equal_items(const GraphBuilder& graph,
                               Budget& budget,
                               std::vector<std::uint32_t>& items) {
  KeyReader reader(graph, budget);
  const auto keys = sorted_keys(reader, items, 1);
  if (!keys) return keys.error();
  const std::vector<std::uint32_t> last = last_places(*keys);
  std::size_t kept = 0;
  for (std::size_t place = 0; place < last.size(); ++place) {
    if (last[place] != kDropped) items[kept++] = items[place];
  }
  items.resize(kept);
  return {};
}

}  // namespace weightmap::checkpoint
