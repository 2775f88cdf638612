// SPDX-License-Identifier: Apache-2.0
// Nodes that say the same, with children that say the same, get one number in both graphs: equal
// objects are equal numbers. Where these differ, both graphs are walked down side by side.
#include "convert/value_comparison.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "convert/value_paths.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

bool is_set(ValueKind kind) {
  return kind == ValueKind::kSet || kind == ValueKind::kFrozenSet;
}

bool is_record(ValueKind kind) {
  return kind == ValueKind::kOpaque || kind == ValueKind::kObject;
}

bool is_sequence(ValueKind kind) {
  return kind == ValueKind::kList || kind == ValueKind::kTuple || kind == ValueKind::kSize;
}

class Meanings {
 public:
  // By node. REQUIRES: the graph outlives this object.
  std::vector<std::uint32_t> of(const ValueGraph& graph) {
    std::vector<std::uint32_t> meanings(graph.size());
    for (std::uint32_t node = 0; node < graph.size(); ++node)
      meanings[node] = meaning_of(graph, node, meanings);
    return meanings;
  }

 private:
  std::uint32_t meaning_of(const ValueGraph& graph,
                           std::uint32_t number,
                           const std::vector<std::uint32_t>& meanings) {
    const ValueNode& node = graph.node(number);
    const ValueKind kind = node.kind == ValueKind::kComposite ? ValueKind::kTensor : node.kind;
    const std::uint64_t value = format::is_tensor(kind) ? 0 : node.number;
    key_.assign({static_cast<char32_t>(kind), static_cast<char32_t>(node.has_attributes),
                 static_cast<char32_t>(value), static_cast<char32_t>(value >> 32U),
                 static_cast<char32_t>(numbered(texts_, graph.text(number)))});
    for (const std::uint32_t child : graph.children(number))
      key_ += static_cast<char32_t>(meanings[child]);
    if (is_set(kind)) {
      const auto items = static_cast<std::ptrdiff_t>(graph.items(number).size());
      const auto begin = key_.end() - static_cast<std::ptrdiff_t>(graph.children(number).size());
      std::sort(begin, begin + items);
    }
    return numbered(nodes_, key_);
  }

  template <typename Map, typename Key>
  static std::uint32_t numbered(Map& map, const Key& key) {
    return map.try_emplace(key, static_cast<std::uint32_t>(map.size())).first->second;
  }

  std::unordered_map<std::string_view, std::uint32_t> texts_;
  std::unordered_map<std::u32string, std::uint32_t> nodes_;
  std::u32string key_;
};

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string complex_text(std::string_view text) {
  std::array<double, 2> parts{};
  std::memcpy(parts.data(), text.data(), std::min(text.size(), sizeof parts));
  return concat(real_text(parts[0]), std::signbit(parts[1]) ? "" : "+", real_text(parts[1]), "j");
}

// "module\nname" as people write it.
std::string class_text(std::string_view global) {
  std::string text(global.substr(0, ValueComparisonLimits::kPathBytes));
  std::ranges::replace(text, '\n', '.');
  return text;
}

std::string words_for(const ValueGraph& graph, std::uint32_t number) {
  const ValueNode& node = graph.node(number);
  const std::string_view text = graph.text(number);
  const std::size_t items = graph.items(number).size();
  switch (node.kind) {
    case ValueKind::kNone: return "None";
    case ValueKind::kBool: return node.number != 0 ? "True" : "False";
    case ValueKind::kInt: return concat(graph.integer(number));
    case ValueKind::kBigInt: return concat("int of ", text.size(), " bytes");
    case ValueKind::kFloat: return real_text(graph.real(number));
    case ValueKind::kComplex: return complex_text(text);
    case ValueKind::kStr: return quoted(text);
    case ValueKind::kBytes:
    case ValueKind::kByteArray:
      return concat(value_kind_name(node.kind), " of ", text.size(), " bytes");
    case ValueKind::kDtype: return concat("torch.", dtype_name(static_cast<Dtype>(node.number)));
    case ValueKind::kDevice: return concat("device ", quoted(text));
    case ValueKind::kGlobal: return quoted(class_text(text));
    case ValueKind::kTensor:
    case ValueKind::kComposite: return "tensor";
    case ValueKind::kOpaque:
    case ValueKind::kObject: return concat("object ", quoted(class_text(text)));
    default:
      return concat(value_kind_name(node.kind), " of ", is_mapping(node.kind) ? items / 2 : items);
  }
}

std::string label_of_key(const ValueGraph& graph, std::uint32_t key) {
  if (graph.node(key).kind != ValueKind::kStr) return words_for(graph, key);
  return std::string(graph.text(key).substr(0, ValueComparisonLimits::kPathBytes));
}

std::string_view label_of_record(std::size_t child) {
  constexpr std::array<std::string_view, kOpaqueChildren> kLabels{
      "__args__", "__kwargs__", "__state__", "__items__", "__keys__"};
  return kLabels[child];
}

constexpr std::string_view kAttributes = "__dict__";

class Walk {
 public:
  Walk(const ValueGraph& first, const ValueGraph& second)
      : first_(first),
        second_(second),
        most_steps_(kStepsPerNode * (first.size() + first.all_children().size() + second.size() +
                                     second.all_children().size())) {
    Meanings meanings;
    first_meanings_ = meanings.of(first);
    second_meanings_ = meanings.of(second);
  }

  ValueComparison run() {
    push({.first = first_.root(), .second = second_.root()});
    while (!to_do_.empty() && !found_.more) {
      const Pair pair = std::move(to_do_.back());
      to_do_.pop_back();
      place_ = static_cast<std::uint32_t>(trail_.size());
      trail_.push_back({pair.parent, pair.label});
      compare(pair);
    }
    return std::move(found_);
  }

 private:
  static constexpr std::uint32_t kTop = 0xFFFFFFFFU;
  // Shared values can stand side by side in more ways than there are values.
  static constexpr std::size_t kStepsPerNode = 16;

  struct Pair {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    std::uint32_t parent = kTop;  // in trail_
    std::string label = {};
  };
  struct Step {
    std::uint32_t parent;
    std::string label;
  };

  void push(Pair pair) {
    if (first_meanings_[pair.first] == second_meanings_[pair.second]) return;
    const std::uint64_t both = std::uint64_t{pair.first} << 32U | pair.second;
    if (!seen_.insert(both).second) return;
    to_do_.push_back(std::move(pair));
  }

  // What lies below, in its order: the last one pushed is the next one looked at.
  void push_all(std::vector<Pair>& pairs) {
    for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair)
      push(std::move(*pair));
  }

  void compare(const Pair& pair) {
    const ValueNode& a = first_.node(pair.first);
    const ValueNode& b = second_.node(pair.second);
    steps_ += std::size_t{1} + a.child_count + b.child_count;
    if (steps_ > most_steps_) found_.more = true;
    std::vector<Pair> below;
    if (is_mapping(a.kind) && is_mapping(b.kind)) {
      if (!is_same_itself(pair)) tell(pair.first, pair.second);
      compare_mappings(pair, below);
    } else if ((is_sequence(a.kind) && is_sequence(b.kind)) ||
               (is_record(a.kind) && is_record(b.kind))) {
      compare_sequences(pair, below);
    } else if (!(format::is_tensor(a.kind) && format::is_tensor(b.kind)) &&
               (is_set(a.kind) || !is_same_itself(pair))) {
      tell(pair.first, pair.second);
    }
    compare_attributes(pair, below);
    push_all(below);
  }

  // But for children.
  bool is_same_itself(const Pair& pair) const {
    const ValueNode& a = first_.node(pair.first);
    const ValueNode& b = second_.node(pair.second);
    return a.kind == b.kind && a.number == b.number &&
           first_.text(pair.first) == second_.text(pair.second);
  }

  void compare_sequences(const Pair& pair, std::vector<Pair>& below) {
    const auto a = first_.items(pair.first);
    const auto b = second_.items(pair.second);
    if (!is_same_itself(pair) || a.size() != b.size()) tell(pair.first, pair.second);
    const bool record = is_record(first_.node(pair.first).kind);
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const std::string label = record ? std::string(label_of_record(i)) : concat(i);
      below.push_back({a[i], b[i], place_, label});
    }
  }

  void compare_attributes(const Pair& pair, std::vector<Pair>& below) {
    const bool a = first_.node(pair.first).has_attributes;
    const bool b = second_.node(pair.second).has_attributes;
    const std::string label(kAttributes);
    if (a && b) {
      below.push_back({first_.children(pair.first).back(), second_.children(pair.second).back(),
                       place_, label});
    } else if (a) {
      tell(first_.children(pair.first).back(), std::nullopt, label);
    } else if (b) {
      tell(std::nullopt, second_.children(pair.second).back(), label);
    }
  }

  struct Item {
    std::uint32_t key;
    std::uint32_t value;
  };
  using Items = std::unordered_map<std::uint32_t, Item>;  // by the meaning of the key

  // Nothing when a key is there twice.
  static std::optional<Items> items_of(std::span<const std::uint32_t> children,
                                       const std::vector<std::uint32_t>& meanings) {
    Items items;
    for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
      const Item item{children[i], children[i + 1]};
      if (!items.emplace(meanings[item.key], item).second) return std::nullopt;
    }
    return items;
  }

  void compare_mappings(const Pair& pair, std::vector<Pair>& below) {
    const auto a = first_.items(pair.first);
    const auto b = second_.items(pair.second);
    const auto first_items = items_of(a, first_meanings_);
    const auto second_items = items_of(b, second_meanings_);
    if (!first_items || !second_items) {
      tell(pair.first, pair.second);
      return;
    }
    std::vector<std::uint32_t> first_order;
    for (std::size_t i = 0; i + 1 < a.size(); i += 2) {
      const std::string label = label_of_key(first_, a[i]);
      const auto other = second_items->find(first_meanings_[a[i]]);
      if (other == second_items->end()) {
        if (!format::is_tensor(first_.node(a[i + 1]).kind)) tell(a[i + 1], std::nullopt, label);
        continue;
      }
      below.push_back({a[i + 1], other->second.value, place_, label});
      first_order.push_back(a[i]);
    }
    std::vector<std::uint32_t> second_order;
    for (std::size_t i = 0; i + 1 < b.size(); i += 2) {
      if (first_items->contains(second_meanings_[b[i]])) {
        second_order.push_back(b[i]);
      } else if (!format::is_tensor(second_.node(b[i + 1]).kind)) {
        tell(std::nullopt, b[i + 1], label_of_key(second_, b[i]));
      }
    }
    compare_order(first_order, second_order);
  }

  // REQUIRES: the same keys in both.
  void compare_order(std::span<const std::uint32_t> first, std::span<const std::uint32_t> second) {
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (first_meanings_[first[i]] == second_meanings_[second[i]]) continue;
      const auto words = [i](const ValueGraph& graph, std::uint32_t key) {
        return concat("key ", i, " is ", words_for(graph, key));
      };
      add({path({}), words(first_, first[i]), words(second_, second[i])});
      return;
    }
  }

  void tell(std::optional<std::uint32_t> first,
            std::optional<std::uint32_t> second,
            std::string_view label = {}) {
    add({path(label), first ? words_for(first_, *first) : "nothing",
         second ? words_for(second_, *second) : "nothing"});
  }

  void add(ValueDifference difference) {
    if (found_.differences.size() == ValueComparisonLimits::kDifferences) {
      found_.more = true;
    } else {
      found_.differences.push_back(std::move(difference));
    }
  }

  // Of what stands at `label` in the pair that is looked at; of the pair itself without.
  std::string path(std::string_view label) const {
    std::string text(label);
    for (std::uint32_t at = place_; trail_[at].parent != kTop; at = trail_[at].parent) {
      if (text.size() > ValueComparisonLimits::kPathBytes) return concat("...", text);
      text = text.empty() ? trail_[at].label : concat(trail_[at].label, ".", text);
    }
    return text;
  }

  const ValueGraph& first_;
  const ValueGraph& second_;
  std::vector<std::uint32_t> first_meanings_;
  std::vector<std::uint32_t> second_meanings_;
  std::size_t most_steps_;
  std::size_t steps_ = 0;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<Pair> to_do_;
  std::vector<Step> trail_;  // the pairs looked at, by which one led to them
  std::uint32_t place_ = 0;  // of the pair that is looked at
  ValueComparison found_;
};

}  // namespace

ValueComparison compare_values(const ValueGraph& first, const ValueGraph& second) {
  if (first.empty() && second.empty()) return {};
  if (first.empty() || second.empty()) {
    const auto words = [](const ValueGraph& graph) {
      return graph.empty() ? "nothing" : words_for(graph, graph.root());
    };
    return {.differences = {{"", words(first), words(second)}}};
  }
  return Walk(first, second).run();
}

}  // namespace weightmap::convert
