// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_groups.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/text.h"

namespace weightmap {
namespace {

using Kind = DiagnosisCause::Kind;

constexpr std::size_t kMostCauses = 5;  // of one kind of group
constexpr std::size_t kMostNumbers = 8;

// Calls visit(prefix with its dot) for every module that a key lies below, outermost first, until
// it returns true.
template <typename Visit>
void visit_modules(std::string_view name, const Visit& visit) {
  for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (visit(name.substr(0, dot + 1))) return;
  }
}

class RestGroups {
 public:
  RestGroups(std::span<const std::string_view> names,
             const std::vector<std::uint32_t>& rest,
             RestSide side)
      : names_(names), rest_(rest), side_(side) {}

  std::vector<DiagnosisCause> run() {
    if (rest_.size() < 2) return {};
    if (auto leaf = common_leaf()) return {std::move(*leaf)};
    count();
    group();
    std::vector<DiagnosisCause> causes;
    for (const auto& [parent, layers] : layers_)
      add_layers(parent, layers, causes);
    for (const auto& [module, keys] : subtrees_)
      add_subtree(module, keys, causes);
    std::ranges::stable_sort(causes, std::greater<>(), &DiagnosisCause::keys);
    if (causes.size() > kMostCauses) causes.resize(kMostCauses);
    return causes;
  }

 private:
  struct Counts {
    std::size_t all = 0;
    std::size_t rest = 0;
  };
  struct Layers {
    std::set<std::uint32_t> numbers;
    std::size_t keys = 0;
  };

  bool is_missing() const { return side_ == RestSide::kMissing; }
  const char* verb() const { return is_missing() ? "missing" : "unexpected"; }

  std::optional<DiagnosisCause> common_leaf() const {
    const std::string_view leaf = last_component(names_[rest_.front()]);
    const auto has_it = [&](auto number) { return last_component(names_[number]) == leaf; };
    if (!std::ranges::all_of(rest_, has_it)) return std::nullopt;
    return DiagnosisCause{.kind = is_missing() ? Kind::kMissingLeaf : Kind::kExtraLeaf,
                          .subject = std::string(leaf),
                          .keys = rest_.size(),
                          .text = concat("everything ", verb(), " is a ", quoted(leaf))};
  }

  void count() {
    for (const std::uint32_t number : rest_) {
      visit_modules(names_[number], [&](std::string_view module) {
        ++counts_[module].rest;
        return false;
      });
    }
    for (const std::string_view name : names_) {
      visit_modules(name, [&](std::string_view module) {
        const auto counts = counts_.find(module);
        if (counts != counts_.end()) ++counts->second.all;
        return counts == counts_.end();
      });
    }
  }

  void group() {
    for (const std::uint32_t number : rest_) {
      visit_modules(names_[number], [&](std::string_view module) {
        const Counts& counts = counts_.at(module);
        if (counts.all != counts.rest) return false;
        add_key(module);
        return true;
      });
    }
  }

  // A layer is told with its siblings, where some of them are on both sides.
  void add_key(std::string_view module) {
    const std::string_view path = module.substr(0, module.size() - 1);
    const std::string_view layer = last_component(path);
    if (layer.size() == path.size() || !is_number(layer)) {
      ++subtrees_[module];
      return;
    }
    Layers& layers = layers_[path.substr(0, path.size() - layer.size())];
    layers.numbers.insert(number_value(layer));
    ++layers.keys;
  }

  static std::string numbers_text(const std::set<std::uint32_t>& numbers) {
    const std::uint32_t first = *numbers.begin();
    const std::uint32_t last = *numbers.rbegin();
    if (numbers.size() == 1) return concat(first);
    if (last - first + 1 == numbers.size()) return concat(first, " to ", last);
    std::string text;
    for (const std::uint32_t number : numbers) {
      if (text.size() > kMostNumbers * 4) return text + ", ...";
      text += concat(text.empty() ? "" : ", ", number);
    }
    return text;
  }

  void add_layers(std::string_view parent,
                  const Layers& layers,
                  std::vector<DiagnosisCause>& causes) const {
    causes.push_back({.kind = is_missing() ? Kind::kMissingLayers : Kind::kExtraLayers,
                      .subject = std::string(parent),
                      .keys = layers.keys,
                      .text = concat(numbers_text(layers.numbers), " below ", quoted(parent),
                                     layers.numbers.size() == 1 ? " is " : " are ", verb(),
                                     ": a model of another depth")});
  }

  void add_subtree(std::string_view module,
                   std::size_t keys,
                   std::vector<DiagnosisCause>& causes) const {
    if (keys < 2) return;
    causes.push_back({.kind = is_missing() ? Kind::kMissingSubtree : Kind::kExtraSubtree,
                      .subject = std::string(module),
                      .keys = keys,
                      .text = concat("everything below ", quoted(module), " is ", verb())});
  }

  std::span<const std::string_view> names_;
  const std::vector<std::uint32_t>& rest_;
  RestSide side_;
  std::unordered_map<std::string_view, Counts> counts_;
  std::map<std::string_view, Layers> layers_;
  std::map<std::string_view, std::size_t> subtrees_;
};

// Calls visit(wanted key, found key) for every name that both have after the renames.
template <typename Visit>
void visit_pairs(const Renaming& renaming, const Visit& visit) {
  const auto wanted = renaming.wanted().keys();
  for (std::uint32_t i = 0; i < wanted.size(); ++i) {
    const std::uint32_t taker = renaming.taker(i);
    if (taker != Renaming::kNobody) visit(wanted[i], renaming.found()[taker]);
  }
}

bool can_cast(const Renaming& renaming, Dtype from, Dtype to) {
  constexpr std::array kCastTo = {Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat32};
  const auto wants_another = [&](const KeyFacts& key) {
    return key.dtype && is_castable(*key.dtype) && *key.dtype != to;
  };
  return is_castable(from) && std::ranges::find(kCastTo, to) != kCastTo.end() &&
         std::ranges::none_of(renaming.wanted().keys(), wants_another);
}

}  // namespace

bool is_castable(Dtype dtype) {
  constexpr std::array kCastFrom = {Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat32,
                                    Dtype::kFloat64};
  return std::ranges::find(kCastFrom, dtype) != kCastFrom.end();
}

std::vector<DiagnosisCause> group_rest(std::span<const std::string_view> names,
                                       const std::vector<std::uint32_t>& rest,
                                       RestSide side) {
  return RestGroups(names, rest, side).run();
}

std::vector<DiagnosisCause> group_transposed(const Renaming& renaming) {
  std::size_t mismatched = 0;
  std::size_t transposed = 0;
  visit_pairs(renaming, [&](const KeyFacts& wanted, const KeyFacts& found) {
    mismatched += shapes_agree(wanted, found) ? 0 : 1;
    transposed += are_transposed(wanted, found) ? 1 : 0;
  });
  if (transposed == 0 || 2 * transposed < mismatched) return {};
  return {{.kind = Kind::kTransposed,
           .keys = transposed,
           .text = "matrices are the other way round, as Conv1D has them where Linear is wanted: "
                   "transpose them in PyTorch, no rename can"}};
}

std::vector<DiagnosisCause> group_dtypes(const Renaming& renaming, Remedy& remedy) {
  std::map<std::pair<Dtype, Dtype>, std::size_t> pairs;
  std::size_t mismatched = 0;
  visit_pairs(renaming, [&](const KeyFacts& wanted, const KeyFacts& found) {
    if (dtypes_agree(wanted, found)) return;
    ++mismatched;
    ++pairs[{*found.dtype, *wanted.dtype}];
  });
  if (mismatched == 0) return {};
  const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [dtypes, count] = *std::ranges::max_element(pairs, by_count);
  if (2 * count < mismatched) return {};
  const auto [from, to] = dtypes;
  if (can_cast(renaming, from, to)) remedy.float_dtype = to;
  return {{.kind = Kind::kOtherDtype,
           .subject = std::string(dtype_name(from)),
           .keys = count,
           .text = concat(dtype_name(from), " stands where ", dtype_name(to), " is wanted")}};
}

}  // namespace weightmap
