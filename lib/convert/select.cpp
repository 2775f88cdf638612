// SPDX-License-Identifier: Apache-2.0
#include "convert/select.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/pattern.h"
#include "base/text.h"
#include "convert/subclass_states.h"
#include "convert/value_paths.h"

namespace weightmap::convert {
namespace {

constexpr std::uint32_t kAbsent = 0xFFFFFFFFU;

template <typename... Pieces>
Error invalid(const Pieces&... pieces) {
  return {ErrorCode::kInvalidArgument, concat(pieces...)};
}

// Counts what each rule does to names.
class Rules {
 public:
  explicit Rules(const SelectionOptions& options) : options_(options) {
    for (const std::string& pattern : options.include)
      uses_.push_back({.rule = concat("include ", pattern)});
    for (const std::string& pattern : options.exclude)
      uses_.push_back({.rule = concat("exclude ", pattern)});
    if (!options.strip_prefix.empty())
      uses_.push_back({.rule = concat("strip-prefix ", options.strip_prefix)});
    for (const RenameRule& rule : options.rename)
      uses_.push_back({.rule = concat("rename ", rule.pattern, "=", rule.replacement)});
  }

  bool empty() const { return uses_.empty(); }
  std::vector<RuleUse> uses() && { return std::move(uses_); }

  // Whether a name is chosen; counts.
  bool choose(std::string_view name) {
    const bool included = count_matches(options_.include, 0, name) || options_.include.empty();
    return included && !count_matches(options_.exclude, options_.include.size(), name);
  }

  // The new name; counts.
  std::string rename(std::string name) {
    auto* use = uses_.data() + options_.include.size() + options_.exclude.size();
    if (const auto shorter = stripped(name)) {
      name = *shorter;
      ++use->tensors;
    }
    if (!options_.strip_prefix.empty()) ++use;
    for (const RenameRule& rule : options_.rename) {
      if (const auto parts = match(rule.pattern, name)) {
        name = substitute(rule.replacement, *parts);
        ++use->tensors;
      }
      ++use;
    }
    return name;
  }

  // The new path of a module that has no tensor of its own to tell it. Counts nothing.
  std::string renamed_path(std::string path) const {
    // `module.` takes `module` away, too.
    if (concat(path, ".") == options_.strip_prefix) return "";
    if (const auto shorter = stripped(path)) path = *shorter;
    for (const RenameRule& rule : options_.rename) {
      if (const auto parts = match(rule.pattern, path)) path = substitute(rule.replacement, *parts);
    }
    return path;
  }

  Result<void> check_all_used() const {
    const auto idle = std::ranges::find(uses_, 0U, &RuleUse::tensors);
    if (idle == uses_.end()) return {};
    return invalid("no tensor is touched by the rule `", idle->rule, "`");
  }

  Result<void> check_sayable() const {
    for (const RenameRule& rule : options_.rename) {
      if (std::ranges::count(rule.replacement, '*') > std::ranges::count(rule.pattern, '*')) {
        return invalid("the rule `rename ", rule.pattern, "=", rule.replacement,
                       "` has more `*` in its replacement than in its pattern");
      }
    }
    return {};
  }

 private:
  bool count_matches(const std::vector<std::string>& patterns,
                     std::size_t first_use,
                     std::string_view name) {
    bool matched = false;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (!match(patterns[i], name)) continue;
      ++uses_[first_use + i].tensors;
      matched = true;
    }
    return matched;
  }

  std::optional<std::string> stripped(std::string_view name) const {
    const std::string& prefix = options_.strip_prefix;
    if (prefix.empty() || !name.starts_with(prefix)) return std::nullopt;
    return std::string(name.substr(prefix.size()));
  }

  const SelectionOptions& options_;
  std::vector<RuleUse> uses_;
};

// A key of the plan: a tensor, or a composite with its parts.
struct Key {
  std::string name;
  std::uint32_t composite = kAbsent;
};

// The composite that each tensor is a part of.
std::vector<std::uint32_t> composites_of(const format::Content& content) {
  std::vector<std::uint32_t> composites(content.tensors.size(), kAbsent);
  for (std::uint32_t i = 0; i < content.composites.size(); ++i) {
    for (const format::PartContent& part : content.composites[i].parts)
      composites[part.tensor] = i;
  }
  return composites;
}

std::string_view module_of(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? "" : name.substr(0, dot);
}

class Selection {
 public:
  Selection(Plan& plan, const SelectionOptions& options)
      : plan_(plan),
        content_(plan.content),
        rules_(options),
        composites_(composites_of(plan.content)) {}

  Result<Selected> run() {
    if (rules_.empty()) return Selected{};
    if (auto sayable = rules_.check_sayable(); !sayable) return sayable.error();
    choose_keys();
    if (auto used = rules_.check_all_used(); !used) return used.error();
    if (auto distinct = check_names(); !distinct) return distinct.error();
    selected_.left_out_values = count_values();
    number_tensors();
    ValueGraph values;
    const auto states = keep_states(values);
    if (!states) return states.error();
    keep_tensors();
    keep_composites();
    keep_modules();
    make_values(*states, std::move(values));
    selected_.rules = std::move(rules_).uses();
    return std::move(selected_);
  }

 private:
  const std::string& name_of(std::uint32_t tensor) const {
    const std::uint32_t composite = composites_[tensor];
    return composite == kAbsent ? content_.tensors[tensor].name
                                : content_.composites[composite].name;
  }

  // A composite stands where its first part does.
  void choose_keys() {
    new_names_.resize(content_.tensors.size());
    new_composite_names_.resize(content_.composites.size());
    std::vector<bool> seen(content_.composites.size(), false);
    for (std::uint32_t tensor = 0; tensor < content_.tensors.size(); ++tensor) {
      const std::uint32_t composite = composites_[tensor];
      const std::string old = name_of(tensor);
      if (composite == kAbsent) {
        new_names_[tensor] = choose_key(old, composite);
      } else {
        if (!seen[composite]) new_composite_names_[composite] = choose_key(old, composite);
        seen[composite] = true;
        new_names_[tensor] = renamed_part(tensor, composite);
      }
    }
  }

  std::optional<std::string> choose_key(const std::string& old, std::uint32_t composite) {
    if (!rules_.choose(old)) {
      ++selected_.left_out_tensors;
      return std::nullopt;
    }
    std::string name = rules_.rename(old);
    module_moves_[std::string(module_of(old))].insert(std::string(module_of(name)));
    keys_.push_back({.name = name, .composite = composite});
    return name;
  }

  std::optional<std::string> renamed_part(std::uint32_t tensor, std::uint32_t composite) const {
    const auto& name = new_composite_names_[composite];
    if (!name) return std::nullopt;
    const std::string_view old = content_.tensors[tensor].name;
    return concat(*name, old.substr(content_.composites[composite].name.size()));
  }

  Result<void> check_names() const {
    if (keys_.empty()) return invalid("the rules leave no tensor");
    std::unordered_set<std::string_view> names;
    for (const auto& name : new_names_) {
      if (!name) continue;
      if (name->empty()) return invalid("the rules give a tensor an empty name");
      if (!names.insert(*name).second) {
        return invalid("the rules give two tensors the name ", quoted(*name));
      }
    }
    return {};
  }

  void number_tensors() {
    std::uint32_t kept = 0;
    for (const auto& name : new_names_)
      new_numbers_.push_back(name ? kept++ : kAbsent);
  }

  // The states of kept tensors of subclasses, by the number that their composite had.
  Result<std::vector<std::uint32_t>> keep_states(ValueGraph& values) const {
    const auto is_of_subclass = [](const format::CompositeContent& composite) {
      return composite.kind == CompositeKind::kWrapperSubclass;
    };
    if (std::ranges::none_of(content_.composites, is_of_subclass)) {
      return std::vector<std::uint32_t>(content_.composites.size(), kLeftOut);
    }
    NewNumbers numbers{.tensors = new_numbers_, .composites = {}};
    number_twins(content_.tensors, numbers.tensors);
    const auto by_name = composites_by_new_name();
    for (const auto& name : new_composite_names_)
      numbers.composites.push_back(name ? by_name.at(*name) : kLeftOut);
    return copy_states(plan_, numbers, values);
  }

  // The place of each kept composite, which are sorted by name.
  std::map<std::string_view, std::uint32_t> composites_by_new_name() const {
    std::map<std::string_view, std::uint32_t> places;
    for (const auto& name : new_composite_names_) {
      if (name) places.emplace(*name, 0);
    }
    std::uint32_t next = 0;
    for (auto& [name, place] : places)
      place = next++;
    return places;
  }

  void keep_tensors() {
    std::uint32_t kept = 0;
    for (std::uint32_t tensor = 0; tensor < content_.tensors.size(); ++tensor) {
      if (!new_names_[tensor]) continue;
      if (kept != tensor) content_.tensors[kept] = std::move(content_.tensors[tensor]);
      content_.tensors[kept++].name = *new_names_[tensor];
    }
    content_.tensors.resize(kept);
  }

  void keep_composites() {
    std::vector<format::CompositeContent> kept;
    for (std::size_t i = 0; i < content_.composites.size(); ++i) {
      if (!new_composite_names_[i]) continue;
      format::CompositeContent& composite = content_.composites[i];
      composite.name = *new_composite_names_[i];
      for (format::PartContent& part : composite.parts)
        part.tensor = new_numbers_[part.tensor];
      kept.push_back(std::move(composite));
    }
    std::ranges::sort(kept, {}, &format::CompositeContent::name);
    content_.composites = std::move(kept);
  }

  // A module goes where its own tensors go; one without tensors of its own as a name would. Those
  // that have no tensor below them any more are left out.
  void keep_modules() {
    const auto used_paths = paths_of_keys();
    std::vector<format::ModuleContent> kept;
    std::unordered_set<std::string> paths;
    for (const format::ModuleContent& module : content_.modules) {
      const auto moves = module_moves_.find(module.path);
      const bool is_clear = moves != module_moves_.end() && moves->second.size() == 1;
      std::string path = is_clear ? *moves->second.begin() : rules_.renamed_path(module.path);
      if (!used_paths.contains(path) || !paths.insert(path).second) continue;
      kept.push_back({.path = std::move(path), .version = module.version});
    }
    content_.modules = std::move(kept);
  }

  // The paths of all modules that the kept keys lie below.
  std::unordered_set<std::string_view> paths_of_keys() const {
    std::unordered_set<std::string_view> paths = {""};
    for (const Key& key : keys_) {
      for (std::string_view path = module_of(key.name); paths.insert(path).second;)
        path = module_of(path);
    }
    return paths;
  }

  // Items of containers that are neither containers nor tensors; attributes (`_metadata`) apart.
  std::uint32_t count_values() const {
    const ValueGraph& graph = content_.values;
    if (graph.empty()) return 0;
    std::vector<bool> reached(graph.size(), false);
    reached[graph.root()] = true;
    std::uint32_t count = 0;
    for (std::uint32_t node = graph.size(); node-- > 0;) {
      if (!reached[node] || !is_container(graph.node(node))) continue;
      const bool has_pairs = is_mapping(graph.node(node).kind);
      const auto items = graph.items(node);
      for (std::size_t i = has_pairs ? 1 : 0; i < items.size(); i += has_pairs ? 2 : 1) {
        reached[items[i]] = true;
        count += is_value(graph.node(items[i])) ? 1 : 0;
      }
    }
    return count;
  }

  static bool is_container(const ValueNode& node) {
    return node.kind >= ValueKind::kList && node.kind <= ValueKind::kDefaultDict;
  }

  static bool is_value(const ValueNode& node) {
    return !is_container(node) && node.kind != ValueKind::kTensor &&
           node.kind != ValueKind::kComposite;
  }

  void make_values(const std::vector<std::uint32_t>& states, ValueGraph graph) {
    const auto composites = composites_by_new_name();
    std::map<std::string_view, std::uint32_t> tensors;
    for (std::uint32_t i = 0; i < content_.tensors.size(); ++i)
      tensors.emplace(content_.tensors[i].name, i);
    std::vector<std::uint32_t> items;
    for (const Key& key : keys_) {
      items.push_back(graph.add_text(ValueKind::kStr, key.name));
      if (key.composite == kAbsent) {
        items.push_back(graph.add_number(ValueKind::kTensor, tensors.at(key.name)));
        continue;
      }
      std::vector<std::uint32_t> state;
      if (states[key.composite] != kLeftOut) state.push_back(states[key.composite]);
      items.push_back(graph.add_node(ValueKind::kComposite, composites.at(key.name), state, {},
                                     !state.empty()));
    }
    if (!content_.modules.empty()) items.push_back(add_metadata(graph));
    graph.add_parent(ValueKind::kOrderedDict, items, {}, !content_.modules.empty());
    content_.values = std::move(graph);
  }

  // The instance attributes of a state dict: {'_metadata': {path: {'version': ...}}}.
  std::uint32_t add_metadata(ValueGraph& graph) const {
    const std::uint32_t version_key = graph.add_text(ValueKind::kStr, "version");
    std::vector<std::uint32_t> items;
    for (const format::ModuleContent& module : content_.modules) {
      const std::uint32_t version =
          graph.add_number(ValueKind::kInt, static_cast<std::uint64_t>(module.version));
      items.push_back(graph.add_text(ValueKind::kStr, module.path));
      items.push_back(graph.add_parent(ValueKind::kDict, std::vector{version_key, version}));
    }
    const std::uint32_t metadata = graph.add_parent(ValueKind::kOrderedDict, items);
    const std::uint32_t key = graph.add_text(ValueKind::kStr, "_metadata");
    return graph.add_parent(ValueKind::kDict, std::vector{key, metadata});
  }

  const Plan& plan_;
  format::Content& content_;
  Rules rules_;
  std::vector<std::uint32_t> composites_;              // by tensor
  std::vector<Key> keys_;                              // that are kept, in their order
  std::vector<std::optional<std::string>> new_names_;  // by tensor
  std::vector<std::optional<std::string>> new_composite_names_;
  std::vector<std::uint32_t> new_numbers_;  // by tensor
  std::map<std::string, std::unordered_set<std::string>> module_moves_;
  Selected selected_;
};

}  // namespace

Result<Selected> select_tensors(Plan& plan, const SelectionOptions& options) {
  auto selected = Selection(plan, options).run();
  if (selected && !selected->rules.empty()) plan.opaque_classes.clear();
  return selected;
}

}  // namespace weightmap::convert
