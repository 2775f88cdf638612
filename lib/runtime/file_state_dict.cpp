// SPDX-License-Identifier: Apache-2.0
// A walk over the file's object in its order, which finds tensors by the names that they were given
// (format/naming.h) and takes along what stands between them. Tensors that it does not come by (in
// objects of unknown classes, in attributes) follow the order of the index.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "weightmap/state_dict.h"
#include "weightmap/weight_file.h"

#include "base/text.h"
#include "format/naming.h"
#include "runtime/state_keys.h"

namespace weightmap {
namespace {

constexpr std::uint32_t kNowhere = 0xFFFFFFFFU;

bool is_extra_state(std::string_view path) {
  if (!path.ends_with(kExtraState)) return false;
  path.remove_suffix(kExtraState.size());
  return path.empty() || path.ends_with('.');
}

// What several steps may cost together: paths and values that are shared many times over would
// expand to more than there is memory.
class Budget {
 public:
  explicit Budget(const format::NamingLimits& limits)
      : steps_(limits.steps), bytes_(limits.name_bytes) {}

  void take(std::uint64_t steps, std::uint64_t bytes = 0) {
    steps_ -= std::min(steps, steps_);
    bytes_ -= std::min(bytes, bytes_);
  }
  bool is_spent() const { return steps_ == 0 || bytes_ == 0; }

 private:
  std::uint64_t steps_;
  std::uint64_t bytes_;
};

// Makes values of parts of the file's graph.
class ValueCopies {
 public:
  ValueCopies(const WeightFile& file, const ValueGraph& values, Budget& budget)
      : file_(file), values_(values), budget_(budget), copies_(values.size(), kNowhere) {}

  const StateValue& of(std::uint32_t node) {
    const auto known = made_.find(node);
    return known != made_.end() ? known->second : made_.emplace(node, copy(node)).first->second;
  }

 private:
  StateValue copy(std::uint32_t root) {
    ValueGraph graph;
    std::vector<StateTensor> tensors;
    std::vector<StateComposite> composites;
    std::vector<std::uint32_t> children;
    const std::vector<std::uint32_t> reached = reachable_from(root);
    for (const std::uint32_t node : reached) {
      const ValueNode& from = values_.node(node);
      children.clear();
      for (const std::uint32_t child : values_.children(node))
        children.push_back(copies_[child]);
      std::uint64_t number = from.number;
      const auto of_file = static_cast<std::uint32_t>(from.number);
      if (from.kind == ValueKind::kTensor) {
        number = tensors.size();
        tensors.push_back(StateTensor::of_file(file_, of_file));
      } else if (from.kind == ValueKind::kComposite) {
        number = composites.size();
        composites.push_back({file_, of_file});
      }
      copies_[node] =
          graph.add_node(from.kind, number, children, values_.text(node), from.has_attributes);
    }
    for (const std::uint32_t node : reached)
      copies_[node] = kNowhere;
    return StateValue(std::move(graph), std::move(tensors), std::move(composites));
  }

  // Ascending: children before parents.
  std::vector<std::uint32_t> reachable_from(std::uint32_t root) {
    std::vector<std::uint32_t> reached{root};
    copies_[root] = 0;
    for (std::size_t next = 0; next < reached.size(); ++next) {
      budget_.take(1 + values_.node(reached[next]).child_count);
      for (const std::uint32_t child : values_.children(reached[next])) {
        if (std::exchange(copies_[child], 0) == kNowhere) reached.push_back(child);
      }
    }
    std::ranges::sort(reached);
    return reached;
  }

  const WeightFile& file_;
  const ValueGraph& values_;
  Budget& budget_;
  std::vector<std::uint32_t> copies_;  // by node, while a value is made
  std::unordered_map<std::uint32_t, StateValue> made_;
};

// What the walk and the index find, put in one order.
class Items {
 public:
  Items(const WeightFile& file, std::string_view prefix)
      : file_(file),
        prefix_(prefix),
        is_tensor_taken_(file.tensor_count(), false),
        is_composite_taken_(file.composite_count(), false) {}

  // The tensor that is called so, as a node of the graph knows it.
  void add_tensor(const std::string& path, std::uint32_t of_node) {
    const auto number = file_.find_number(path);
    if (!number || file_.tensor(*number).is_part()) return;
    is_tensor_taken_[*number] = true;
    const bool is_node = of_node < file_.tensor_count() && is_same(*number, of_node);
    add(path, StateTensor::of_file(file_, is_node ? of_node : *number), *number);
  }

  void add_composite(const std::string& path, std::uint32_t of_node) {
    const auto number = file_.find_composite_number(path);
    if (!number) return;
    is_composite_taken_[*number] = true;
    const bool is_node = of_node < file_.composite_count();
    add(path, StateComposite{file_, is_node ? of_node : *number}, place_of_composite(*number));
  }

  // All below an extra state is no key. A tensor's name is the tensor's.
  void add_value(const std::string& path, const StateValue& value) {
    if (is_extra_state(path)) extra_states_.insert(path);
    if (file_.find_composite_number(path)) return;
    const auto tensor = file_.find_number(path);
    if (!tensor || file_.tensor(*tensor).is_part()) add(path, value, kNowhere);
  }

  void finish(StateDict& into) {
    const std::vector<Found> others = find_others();
    auto other = others.begin();
    const auto add_up_to = [&](std::uint32_t place) {
      for (; other != others.end() && other->place < place; ++other)
        set(*other, into);
    };
    for (const Found& found : found_) {
      if (found.place != kNowhere) add_up_to(found.place);
      set(found, into);
    }
    add_up_to(kNowhere);
  }

 private:
  struct Found {
    std::string path;
    StateItem item;
    std::uint32_t place = kNowhere;  // in the index
  };

  void add(const std::string& path, StateItem item, std::uint32_t place) {
    if (path.starts_with(prefix_)) found_.push_back({path, std::move(item), place});
  }

  void set(const Found& found, StateDict& into) const {
    const std::string_view path = found.path;
    const std::string_view name = path.substr(prefix_.size());
    if (!into.contains(name)) into.set(name, found.item);
  }

  // Whether two names are those of one tensor object, as far as the index knows.
  bool is_same(std::uint32_t a, std::uint32_t b) const {
    if (a == b) return true;
    const TensorView first = file_.tensor(a);
    const TensorView second = file_.tensor(b);
    return first.data() == second.data() && file_.place(a).segment == file_.place(b).segment &&
           first.dtype() == second.dtype() && first.flags() == second.flags() &&
           std::ranges::equal(first.shape(), second.shape()) &&
           std::ranges::equal(first.strides(), second.strides());
  }

  // That of its first part; a composite without parts has none, and is the first.
  std::uint32_t place_of_composite(std::uint32_t number) const {
    std::uint32_t place = kNowhere;
    const CompositeView composite = file_.composite(number);
    for (const CompositePart& part : composite.parts())
      place = std::min(place, part.number);
    return place == kNowhere ? 0 : place;
  }

  bool lies_in_extra_state(std::string_view name) const {
    if (extra_states_.empty()) return false;
    for (std::size_t at = name.find(kExtraState); at != std::string_view::npos;
         at = name.find(kExtraState, at + 1)) {
      const std::size_t end = at + kExtraState.size();
      if (end < name.size() && extra_states_.contains(std::string(name.substr(0, end))))
        return true;
    }
    return false;
  }

  bool is_wanted(std::string_view name) const {
    return name.starts_with(prefix_) && !lies_in_extra_state(name);
  }

  std::vector<Found> find_others() const {
    std::vector<Found> others;
    for (std::uint32_t i = 0; i < file_.tensor_count(); ++i) {
      if (is_tensor_taken_[i] || file_.tensor(i).is_part() || !is_wanted(file_.name(i))) continue;
      others.push_back({std::string(file_.name(i)), StateTensor::of_file(file_, i), i});
    }
    for (std::uint32_t i = 0; i < file_.composite_count(); ++i) {
      const std::string_view name = file_.composite_name(i);
      if (is_composite_taken_[i] || !is_wanted(name)) continue;
      others.push_back({std::string(name), StateComposite{file_, i}, place_of_composite(i)});
    }
    std::ranges::stable_sort(others, {}, &Found::place);
    return others;
  }

  const WeightFile& file_;
  std::string_view prefix_;
  std::vector<Found> found_;  // by the walk, in its order
  std::vector<bool> is_tensor_taken_;
  std::vector<bool> is_composite_taken_;
  std::unordered_set<std::string> extra_states_;
};

// The metadata of the modules below a prefix, by the path from there. What comes first stands.
class Metadata {
 public:
  Metadata(const ValueGraph& values, std::string_view prefix, ValueCopies& copies)
      : values_(values), prefix_(prefix), copies_(copies) {}

  // `_metadata` of a state dict that stands at a path.
  void add_of_dict(const std::string& path, std::uint32_t node) {
    if (!values_.node(node).has_attributes) return;
    const auto metadata = format::value_of_key(values_, values_.children(node).back(), "_metadata");
    if (!metadata || !is_mapping(values_.node(*metadata).kind)) return;
    const auto items = values_.items(*metadata);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (values_.node(items[i]).kind != ValueKind::kStr) continue;
      const std::string_view module = values_.text(items[i]);
      add_module(module.empty() ? path : format::joined_path(path, module), items[i + 1]);
    }
  }

  void add_version(std::string_view path, std::int64_t version) {
    const auto name = name_of(path);
    if (name && !found_.contains(*name)) found_.set(*name, {.version = version, .values = {}});
  }

  OrderedMap<ModuleMetadata> finish() { return std::move(found_); }

 private:
  void add_module(const std::string& path, std::uint32_t node) {
    const auto name = name_of(path);
    if (!name || found_.contains(*name) || !is_mapping(values_.node(node).kind)) return;
    ModuleMetadata module;
    const auto items = values_.items(node);
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      if (values_.node(items[i]).kind != ValueKind::kStr) continue;
      const std::string_view key = values_.text(items[i]);
      if (key == "version" && values_.node(items[i + 1]).kind == ValueKind::kInt) {
        module.version = values_.integer(items[i + 1]);
      } else {
        module.values.set(key, copies_.of(items[i + 1]));
      }
    }
    found_.set(*name, std::move(module));
  }

  // Without the prefix; nothing for a module that is not below it.
  std::optional<std::string_view> name_of(std::string_view path) const {
    if (path.starts_with(prefix_)) return path.substr(prefix_.size());
    const bool is_top =
        prefix_.size() == path.size() + 1 && prefix_.starts_with(path) && prefix_.ends_with('.');
    return is_top ? std::optional<std::string_view>("") : std::nullopt;
  }

  const ValueGraph& values_;
  std::string_view prefix_;
  ValueCopies& copies_;
  OrderedMap<ModuleMetadata> found_;
};

class Walk {
 public:
  Walk(const WeightFile& file, const ValueGraph& values, std::string_view prefix)
      : file_(file),
        values_(values),
        prefix_(prefix),
        holds_(format::find_holders(values)),
        budget_(format::NamingLimits(values, holds_)),
        copies_(file, values, budget_),
        items_(file, prefix),
        metadata_(values, prefix, copies_) {}

  Result<StateDict> run() {
    if (!values_.empty()) {
      const bool is_bare = format::is_tensor(values_.node(values_.root()).kind);
      stack_.push_back({values_.root(), is_bare ? "tensor" : ""});
    }
    while (!stack_.empty() && !budget_.is_spent()) {
      const Place place = std::move(stack_.back());
      stack_.pop_back();
      visit(place);
    }
    if (budget_.is_spent()) {
      return Error(ErrorCode::kUnsupported,
                   concat(file_.path(),
                          ": values that are shared many times over would expand to "
                          "too large a state dict"));
    }
    for (const ModuleVersion& module : file_.modules())
      metadata_.add_version(module.path, module.version);
    StateDict found;
    items_.finish(found);
    found.metadata() = metadata_.finish();
    return found;
  }

 private:
  struct Place {
    std::uint32_t node = 0;
    std::string path;
  };

  void visit(const Place& place) {
    budget_.take(1, place.path.size());
    const ValueNode& node = values_.node(place.node);
    if (node.kind == ValueKind::kTensor) {
      items_.add_tensor(place.path, static_cast<std::uint32_t>(node.number));
    } else if (node.kind == ValueKind::kComposite) {
      items_.add_composite(place.path, static_cast<std::uint32_t>(node.number));
    } else if (is_taken_apart(place)) {
      enter(place, node.kind);
    } else if (is_one_item(place)) {
      items_.add_value(place.path, copies_.of(place.node));
    }
  }

  // A container of tensors, or of what the prefix names.
  bool is_taken_apart(const Place& place) const {
    const ValueKind kind = values_.node(place.node).kind;
    if (!is_mapping(kind) && !format::is_sequence(kind)) return false;
    if (place.node == values_.root()) return true;
    return !is_extra_state(place.path) && (holds_[place.node] || is_above_prefix(place.path));
  }

  // What is not of a known kind and holds tensors has only these.
  bool is_one_item(const Place& place) const {
    if (!place.path.starts_with(prefix_) || place.node == values_.root()) return false;
    return !holds_[place.node] || is_extra_state(place.path);
  }

  bool is_above_prefix(std::string_view path) const {
    return prefix_.size() > path.size() && prefix_.starts_with(path);
  }

  void enter(const Place& place, ValueKind kind) {
    const auto items = values_.items(place.node);
    budget_.take(items.size());
    metadata_.add_of_dict(place.path, place.node);
    const std::size_t first = stack_.size();
    if (is_mapping(kind)) {
      for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
        const auto component = format::path_component(values_, items[i]);
        if (component) push(place.path, *component, items[i + 1]);
      }
    } else {
      for (std::size_t i = 0; i < items.size(); ++i)
        push(place.path, std::to_string(i), items[i]);
    }
    std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
  }

  void push(const std::string& path, std::string_view component, std::uint32_t node) {
    if (budget_.is_spent()) return;
    std::string below = format::joined_path(path, component);
    budget_.take(0, below.size());
    if (below.starts_with(prefix_) || is_above_prefix(below)) stack_.push_back({node, below});
  }

  const WeightFile& file_;
  const ValueGraph& values_;
  std::string_view prefix_;
  const std::vector<bool> holds_;
  Budget budget_;
  ValueCopies copies_;
  Items items_;
  Metadata metadata_;
  std::vector<Place> stack_;
};

}  // namespace

Result<StateDict> WeightFile::state_dict(std::string_view prefix) const {
  const Result<ValueGraph> values = this->values();
  if (!values) return values.error();
  return Walk(*this, *values, prefix).run();
}

}  // namespace weightmap
