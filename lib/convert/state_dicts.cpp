// SPDX-License-Identifier: Apache-2.0
// torch/nn/modules/module.py, state_dict: parameters, then buffers less those that are not
// persistent, then children, each with its name in front.
#include "convert/state_dicts.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "convert/export_selection.h"
#include "convert/value_paths.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

class StateDicts {
 public:
  explicit StateDicts(const ValueGraph& values)
      : values_(values),
        limits_(values, format::find_holders(values)),
        is_top_(values.size(), false),
        copies_(values.size()),
        paths_(values) {}

  Result<ValueGraph> run(std::vector<std::string>& told) {
    find_modules(told);
    for (std::uint32_t node = 0; node < values_.size(); ++node) {
      const Result<void> done = is_top_[node] ? copy_module(node) : copy(node);
      if (!done) return done.error();
    }
    return std::move(result_);
  }

 private:
  using Names = std::vector<std::uint32_t>;  // keys and tensors, as a dict has them
  struct Place {
    std::uint32_t module = 0;
    std::string prefix;
  };

  // Children stand before parents: one pass down from the root, not into modules.
  void find_modules(std::vector<std::string>& told) {
    std::vector<bool> reached(values_.size(), false);
    reached[values_.root()] = true;
    for (std::uint32_t node = values_.size(); node-- > 0;) {
      if (!reached[node]) continue;
      is_top_[node] = is_module(node);
      if (is_top_[node]) {
        told.push_back(line_for(node));
        continue;
      }
      for (const std::uint32_t child : values_.children(node)) {
        reached[child] = true;
        paths_.note(node, child);
      }
    }
    std::ranges::reverse(told);
  }

  std::string line_for(std::uint32_t node) const {
    const std::string path = paths_.path_to(node);
    return concat(path.empty() ? "the top" : path, ": all but the state dict of a ",
                  dotted(values_.text(node)));
  }

  bool is_module(std::uint32_t node) const {
    return values_.node(node).kind == ValueKind::kOpaque && part_of(node, "_parameters") &&
           part_of(node, "_buffers") && part_of(node, "_modules");
  }

  // One of the dictionaries of a module.
  std::optional<std::uint32_t> part_of(std::uint32_t module, std::string_view name) const {
    const std::uint32_t state = values_.items(module)[format::kOpaqueState];
    if (!is_mapping(values_.node(state).kind)) return std::nullopt;
    const auto items = values_.items(state);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!is_str(items[i]) || values_.text(items[i]) != name) continue;
      return is_mapping(values_.node(items[i + 1]).kind) ? std::optional(items[i + 1])
                                                         : std::nullopt;
    }
    return std::nullopt;
  }

  bool is_str(std::uint32_t node) const { return values_.node(node).kind == ValueKind::kStr; }

  bool is_tensor(std::uint32_t node) const { return format::is_tensor(values_.node(node).kind); }

  // Whether `_non_persistent_buffers_set` has the name.
  bool is_hidden(std::uint32_t module, std::string_view name) const {
    const auto items = values_.items(values_.items(module)[format::kOpaqueState]);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!is_str(items[i]) || values_.text(items[i]) != "_non_persistent_buffers_set") continue;
      const auto is_it = [&](std::uint32_t hidden) {
        return is_str(hidden) && values_.text(hidden) == name;
      };
      if (std::ranges::any_of(values_.items(items[i + 1]), is_it)) return true;
    }
    return false;
  }

  Result<void> copy(std::uint32_t node) {
    const ValueNode& from = values_.node(node);
    std::vector<std::uint32_t> children;
    for (const std::uint32_t child : values_.children(node))
      children.push_back(copies_[child]);
    copies_[node] =
        result_.add_node(from.kind, from.number, children, values_.text(node), from.has_attributes);
    return {};
  }

  Result<void> copy_module(std::uint32_t module) {
    Names names;
    std::vector<Place> stack{{module, ""}};
    while (!stack.empty()) {
      const Place place = std::move(stack.back());
      stack.pop_back();
      if (++steps_ > limits_.steps) {
        return Error(ErrorCode::kUnsupported,
                     "modules that share others many times over have too many names");
      }
      add_tensors(place, "_parameters", names);
      add_tensors(place, "_buffers", names);
      push_children(place, stack);
    }
    copies_[module] = result_.add_parent(ValueKind::kOrderedDict, names);
    return {};
  }

  void add_tensors(const Place& place, std::string_view part, Names& names) {
    const auto items = values_.items(*part_of(place.module, part));
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!is_str(items[i]) || !is_tensor(items[i + 1])) continue;
      const std::string_view name = values_.text(items[i]);
      if (part == "_buffers" && is_hidden(place.module, name)) continue;
      names.push_back(result_.add_text(ValueKind::kStr, concat(place.prefix, name)));
      names.push_back(copies_[items[i + 1]]);
      steps_ += place.prefix.size() / 16;  // long names count for more
    }
  }

  void push_children(const Place& place, std::vector<Place>& stack) const {
    const auto items = values_.items(*part_of(place.module, "_modules"));
    const std::size_t first = stack.size();
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!is_str(items[i]) || !is_module(items[i + 1])) continue;
      stack.push_back({items[i + 1], concat(place.prefix, values_.text(items[i]), ".")});
    }
    std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(first), stack.end());
  }

  const ValueGraph& values_;
  const format::NamingLimits limits_;
  std::vector<bool> is_top_;  // by node: a module that becomes its state dict
  std::vector<std::uint32_t> copies_;
  ValuePaths paths_;
  std::uint64_t steps_ = 0;
  ValueGraph result_;
};

}  // namespace

Result<ValueGraph> with_state_dicts(const ValueGraph& values, std::vector<std::string>& told) {
  return StateDicts(values).run(told);
}

}  // namespace weightmap::convert
