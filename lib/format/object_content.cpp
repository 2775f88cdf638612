// SPDX-License-Identifier: Apache-2.0
#include "format/object_content.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "format/naming.h"

namespace weightmap::format {
namespace {

constexpr std::uint32_t kAbsent = 0xFFFFFFFFU;

// Gives storages their segments in the order of first use.
class SegmentList {
 public:
  explicit SegmentList(const Object& object)
      : object_(object), segments_(object.storage_sizes_bytes.size(), kAbsent) {}

  std::uint32_t segment_of(std::uint32_t storage, ObjectContent& made) {
    if (storage == kNoStorage) return kNoSegment;
    std::uint32_t& segment = segments_[storage];
    if (segment == kAbsent) {
      segment = static_cast<std::uint32_t>(made.storages.size());
      made.storages.push_back(storage);
      made.content.segment_sizes_bytes.push_back(object_.storage_sizes_bytes[storage]);
    }
    return segment;
  }

 private:
  const Object& object_;
  std::vector<std::uint32_t> segments_;  // by storage
};

// Entries and composites in the order of the names, and where each value first stands among them.
class EntryList {
 public:
  EntryList(const Object& object, const Names& names, ObjectContent& made)
      : object_(object), names_(names), made_(made), segments_(object) {}

  // What a node of the graph becomes: by node, the entry or composite that first names it.
  using Numbers = std::unordered_map<std::uint32_t, std::uint32_t>;

  Numbers add_all() {
    for (std::uint32_t i = 0; i < names_.tensors.size(); ++i) {
      const NamedTensor& named = names_.tensors[i];
      const ValueNode& node = object_.values.node(named.node);
      if (node.kind == ValueKind::kComposite) {
        owners_.emplace(i, made_.content.composites.size());
        add_composite(named, object_.composites[node.number]);
      } else if (named.owner != kNoOwner) {
        add_owned(named, object_.tensors[node.number]);
      } else {
        const std::uint32_t entry =
            add_entry(named.name, object_.tensors[node.number], named.flags);
        numbers_.emplace(named.node, entry);
      }
    }
    sort_composites();
    return std::move(numbers_);
  }

 private:
  std::uint32_t add_entry(std::string name, const ObjectTensor& tensor, unsigned more_flags) {
    const auto flags = static_cast<std::uint16_t>(tensor.flags | more_flags);
    made_.content.tensors.push_back({.name = std::move(name),
                                     .dtype = tensor.dtype,
                                     .flags = flags,
                                     .segment = segments_.segment_of(tensor.storage, made_),
                                     .offset_bytes = tensor.offset_bytes,
                                     .shape = {tensor.shape.begin(), tensor.shape.end()},
                                     .strides = {tensor.strides.begin(), tensor.strides.end()}});
    return static_cast<std::uint32_t>(made_.content.tensors.size() - 1);
  }

  void add_composite(const NamedTensor& named, const CompositeContent& composite) {
    CompositeContent content{.name = named.name,
                             .kind = composite.kind,
                             .dtype = composite.dtype,
                             .flags = static_cast<std::uint16_t>(composite.flags | named.flags),
                             .shape = composite.shape,
                             .reals = composite.reals,
                             .integers = composite.integers,
                             .class_name = composite.class_name};
    // Of two with one name, which the format refuses, only the first gets names of its own.
    has_own_names_.push_back(composite_names_.insert(named.name).second);
    numbers_.emplace(named.node, static_cast<std::uint32_t>(made_.content.composites.size()));
    made_.content.composites.push_back(std::move(content));
    made_.composite_nodes.push_back(named.node);
    const std::size_t number = made_.content.composites.size() - 1;
    for (const PartContent& part : composite.parts) {
      add_part(number, part.role, object_.tensors[part.tensor]);
      roles_.insert(concat(number, ".", part.role));
    }
  }

  std::uint32_t add_part(std::size_t composite,
                         const std::string& role,
                         const ObjectTensor& tensor) {
    const std::string name =
        part_name(made_.content.composites[composite].name, role, has_own_names_[composite]);
    const std::uint32_t entry = add_entry(name, tensor, kPart);
    made_.content.composites[composite].parts.push_back({.role = role, .tensor = entry});
    return entry;
  }

  // The role is the path in the state of its owner.
  void add_owned(const NamedTensor& named, const ObjectTensor& tensor) {
    const std::size_t composite = owners_.at(named.owner);
    const std::string& owner = names_.tensors[named.owner].name;
    std::string role = owner.empty() ? named.name : named.name.substr(owner.size() + 1);
    // A state may have an `a.b`, and an `a` with a `b`.
    if (!roles_.insert(concat(composite, ".", role)).second) {
      role += concat("_", made_.content.tensors.size());
    }
    numbers_.emplace(named.node, add_part(composite, role, tensor));
  }

  std::string part_name(std::string_view composite, std::string_view role, bool is_unique) {
    if (taken_.empty()) {
      for (const NamedTensor& named : names_.tensors) {
        if (named.owner == kNoOwner) taken_.insert(named.name);
      }
    }
    std::string name = concat(composite, ".", role);
    while (!taken_.insert(name).second && is_unique)
      name += '_';
    return name;
  }

  void sort_composites() {
    auto& composites = made_.content.composites;
    std::vector<std::uint32_t> order(composites.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return composites[i].name; });
    std::vector<std::uint32_t> place_of(order.size());
    std::vector<CompositeContent> sorted;
    std::vector<std::uint32_t> nodes;
    for (const std::uint32_t from : order) {
      place_of[from] = static_cast<std::uint32_t>(sorted.size());
      sorted.push_back(std::move(composites[from]));
      nodes.push_back(made_.composite_nodes[from]);
    }
    composites = std::move(sorted);
    made_.composite_nodes = std::move(nodes);
    for (auto& [node, number] : numbers_) {
      if (object_.values.node(node).kind == ValueKind::kComposite) number = place_of[number];
    }
  }

  const Object& object_;
  const Names& names_;
  ObjectContent& made_;
  SegmentList segments_;
  std::unordered_set<std::string> taken_;  // names, once they matter
  std::unordered_set<std::string> composite_names_;
  std::vector<bool> has_own_names_;                        // by composite
  std::unordered_map<std::uint32_t, std::size_t> owners_;  // composites, by place among the names
  std::unordered_set<std::string> roles_;                  // of all composites
  Numbers numbers_;
};

void add_modules(const Names& names, Content& content) {
  for (const NamedModule& module : names.modules) {
    content.modules.push_back({.path = module.path, .version = module.version});
  }
}

// Of these, one stands for all that are equal, as in Python for most of them.
bool has_no_identity(const ValueNode& node) {
  switch (node.kind) {
    case ValueKind::kNone:
    case ValueKind::kBool:
    case ValueKind::kInt:
    case ValueKind::kStr: return true;
    case ValueKind::kTuple: return node.child_count == 0;
    default: return false;
  }
}

// All below the root, children before parents, as a walk comes by their ends: the same content has
// the same order, whatever made the graph.
std::vector<std::uint32_t> nodes_below(const ValueGraph& graph, std::uint32_t root) {
  struct Visit {
    std::uint32_t node = 0;
    std::size_t next = 0;
  };
  std::vector<bool> is_known(graph.size(), false);
  is_known[root] = true;
  std::vector<Visit> open{{.node = root}};
  std::vector<std::uint32_t> found;
  while (!open.empty()) {
    Visit& last = open.back();
    const auto children = graph.children(last.node);
    if (last.next == children.size()) {
      found.push_back(last.node);
      open.pop_back();
    } else if (const std::uint32_t child = children[last.next++]; !is_known[child]) {
      is_known[child] = true;
      open.push_back({.node = child});
    }
  }
  return found;
}

Result<void> copy_values(const Object& object,
                         const EntryList::Numbers& numbers,
                         ObjectContent& made) {
  const ValueGraph& graph = object.values;
  std::vector<std::uint32_t> copies(graph.size(), kAbsent);
  std::map<std::tuple<ValueKind, std::uint64_t, std::string_view>, std::uint32_t> shared;
  std::vector<std::uint32_t> children;
  ValueGraph& copy = made.content.values;
  for (const std::uint32_t node : nodes_below(graph, object.root)) {
    const ValueNode& from = graph.node(node);
    children.clear();
    for (const std::uint32_t child : graph.children(node))
      children.push_back(copies[child]);
    std::uint64_t number = from.number;
    if (is_tensor(from.kind)) {
      const auto named = numbers.find(node);
      // Names come from values; what only a dictionary's key holds has none.
      if (named == numbers.end()) {
        return Error(ErrorCode::kUnsupported, "a tensor inside a dictionary's key has no name");
      }
      number = named->second;
    }
    const std::string_view text = graph.text(node);
    if (has_no_identity(from)) {
      const auto [known, is_new] = shared.try_emplace({from.kind, number, text}, copy.size());
      copies[node] = known->second;
      if (!is_new) continue;
    }
    copies[node] = copy.add_node(from.kind, number, children, text, from.has_attributes);
  }
  for (std::uint32_t& node : made.composite_nodes)
    node = copies[node];
  return {};
}

}  // namespace

Result<ObjectContent> content_of(const Object& object) {
  const Result<Names> names = name_tensors(object.values, object.root, object.composites);
  if (!names) return names.error();
  ObjectContent made;
  const auto numbers = EntryList(object, *names, made).add_all();
  add_modules(*names, made.content);
  const Result<void> copied = copy_values(object, numbers, made);
  if (!copied) return copied.error();
  return made;
}

}  // namespace weightmap::format
