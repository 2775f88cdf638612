// SPDX-License-Identifier: Apache-2.0
// A walk over the object graph in definition order, with a stack of its own: depth is the file's.
#include "format/naming.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/text.h"
#include "format/index_view.h"

namespace weightmap::format {
namespace {

constexpr std::uint64_t kFreeSteps = 100'000;
constexpr std::uint64_t kStepsPerItem = 16;
constexpr std::uint64_t kFreeNameBytes = std::uint64_t{64} << 20U;
constexpr std::uint64_t kNameBytesPerNode = 256;

class Namer {
 public:
  Namer(const ValueGraph& graph, std::span<const CompositeContent> composites)
      : graph_(graph), composites_(composites), limits_(graph, find_holders(graph)) {}

  Result<Names> run(std::uint32_t root) {
    add_place({.node = root, .path = is_tensor(graph_.node(root).kind) ? "tensor" : ""});
    while (!stack_.empty()) {
      const Place place = std::move(stack_.back());
      stack_.pop_back();
      path_bytes_ -= place.path.size();
      Result<void> named = visit(place);
      if (!named) return named.error();
    }
    return std::move(names_);
  }

 private:
  struct Place {
    std::uint32_t node = 0;
    std::string path;
    std::optional<std::uint32_t> nameless_key;  // on the way to it: no path can name it
    std::uint16_t flags = 0;                    // of a tensor
    std::uint32_t owner = kNoOwner;
  };

  // The dictionaries of a pickled module.
  struct Module {
    std::uint32_t state = 0;
    std::uint32_t parameters = 0;
    std::uint32_t buffers = 0;
    std::uint32_t modules = 0;
    std::optional<std::uint32_t> hidden;  // names of buffers that are not persistent
  };

  Result<void> visit(const Place& place) {
    steps_ += 1 + graph_.node(place.node).child_count;
    const ValueKind kind = graph_.node(place.node).kind;
    if (kind == ValueKind::kOrderedDict) collect_modules(place);
    const std::size_t first = stack_.size();
    is_of_subclass(place.node) ? push_state(place) : push_children(place, kind);
    std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
    if (is_spent()) {
      return Error(ErrorCode::kUnsupported,
                   "values that are shared many times over would expand to too many names");
    }
    return is_tensor(kind) ? name(place) : Result<void>();
  }

  // Whatever takes a step or makes a path asks before it takes the next.
  bool is_spent() const {
    return steps_ > limits_.steps || name_bytes_ + path_bytes_ > limits_.name_bytes;
  }

  Result<void> name(const Place& place) {
    if (place.nameless_key) return has_no_name(place);
    name_bytes_ += place.path.size();
    const bool is_part = graph_.node(place.node).kind == ValueKind::kTensor;
    names_.tensors.push_back({.name = place.path,
                              .node = place.node,
                              .flags = place.flags,
                              .owner = is_part ? place.owner : kNoOwner});
    return {};
  }

  Error has_no_name(const Place& place) const {
    const std::string where = place.path.empty() ? "at the top" : "in " + quoted(place.path);
    return {ErrorCode::kUnsupported,
            concat("a tensor has no name: ", where, " there is a key on the way to it of the kind ",
                   value_kind_name(graph_.node(*place.nameless_key).kind),
                   ", and names are made of strings and integers; root takes a part without such "
                   "keys")};
  }

  bool is_of_subclass(std::uint32_t node) const {
    const ValueNode& value = graph_.node(node);
    return value.kind == ValueKind::kComposite && value.number < composites_.size() &&
           composites_[value.number].kind == CompositeKind::kWrapperSubclass;
  }

  // What the tensor at this place, the next to be named, owns. Parts of a state that are dicts of
  // attributes add nothing to the names.
  void push_state(const Place& place) {
    if (!graph_.node(place.node).has_attributes) return;
    const std::uint32_t attributes = graph_.children(place.node).back();
    Place owner = place;
    owner.owner = static_cast<std::uint32_t>(names_.tensors.size());
    const auto state = value_of(attributes, kStateAttribute);
    if (!state) return push_in_place(owner, attributes, "__state__");
    if (graph_.node(*state).kind != ValueKind::kTuple) {
      return push_in_place(owner, *state, "__state__");
    }
    for (const std::uint32_t part : graph_.items(*state))
      push_in_place(owner, part, "__state__");
  }

  void push_children(const Place& place, ValueKind kind) {
    const auto items = graph_.items(place.node);
    if (is_mapping(kind)) {
      push_mapping(place, items);
    } else if (is_sequence(kind)) {
      for (std::size_t i = 0; i < items.size(); ++i)
        push(place, items[i], std::to_string(i));
    } else if (kind == ValueKind::kOpaque || kind == ValueKind::kObject) {
      push_opaque(place, items);
    }
    if (graph_.node(place.node).has_attributes) {
      push(place, graph_.children(place.node).back(), "__dict__");
    }
  }

  void push_mapping(const Place& place, std::span<const std::uint32_t> items) {
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      push(place, items[i], std::nullopt, items[i]);  // a tensor may be one, too
      push(place, items[i + 1], path_component(graph_, items[i]), items[i]);
    }
  }

  void push_opaque(const Place& place, std::span<const std::uint32_t> parts) {
    if (!push_subclass(place, parts[0])) push(place, parts[0], "__args__");
    push(place, parts[1], "__kwargs__");
    if (const auto module = module_of(parts[kOpaqueState])) {
      push_module(place, *module);
    } else {
      push_in_place(place, parts[kOpaqueState], "__state__");
    }
    push_in_place(place, parts[3], "__items__");
    push_in_place(place, parts[4], "__items__");
  }

  // A tensor of a subclass that is no composite: (tensor, class, state), or (function, class,
  // arguments, state). False: another object.
  bool push_subclass(const Place& place, std::uint32_t arguments) {
    const auto items = graph_.items(arguments);
    const bool is_one = graph_.text(place.node) == "torch._tensor\n_rebuild_from_type_v2" &&
                        graph_.node(arguments).kind == ValueKind::kTuple &&
                        (items.size() == 3 || items.size() == 4);
    if (!is_one) return false;
    push(place, items[0], "values");
    if (items.size() == 4) push(place, items[2], "__args__");
    push_in_place(place, items.back(), "__state__");
    return true;
  }

  std::optional<Module> module_of(std::uint32_t state) {
    const auto parameters = value_of(state, "_parameters");
    const auto buffers = value_of(state, "_buffers");
    const auto modules = value_of(state, "_modules");
    if (!parameters || !buffers || !modules) return std::nullopt;
    for (const std::uint32_t dict : {*parameters, *buffers, *modules}) {
      if (!is_mapping(graph_.node(dict).kind)) return std::nullopt;
    }
    const auto hidden = value_of(state, "_non_persistent_buffers_set");
    const bool is_set = hidden && graph_.node(*hidden).kind == ValueKind::kSet;
    return Module{state, *parameters, *buffers, *modules, is_set ? hidden : std::nullopt};
  }

  void push_module(const Place& place, const Module& module) {
    const auto version = value_of(module.state, "_version");
    if (version && graph_.node(*version).kind == ValueKind::kInt) {
      add_module(place.path, "", graph_.integer(*version));
    }
    std::unordered_set<std::string_view> hidden;
    if (module.hidden) {
      for (const std::uint32_t name : graph_.items(*module.hidden))
        hidden.insert(graph_.text(name));
    }
    const auto is_hidden = [&](std::uint32_t key) { return hidden.contains(graph_.text(key)); };
    const auto is_kept = [&](std::uint32_t key) { return !is_hidden(key); };
    const auto is_any = [](std::uint32_t) { return true; };
    push_members(place, module.parameters, kParameter, is_any);
    push_members(place, module.buffers, kBuffer, is_kept);
    push_members(place, module.modules, 0, is_any);
    Place rest = place;
    rest.path = joined_path(place.path, "__state__");
    push_members(rest, module.state, 0, [&](std::uint32_t key) {
      const std::string_view name = graph_.text(key);
      return name != "_parameters" && name != "_buffers" && name != "_modules";
    });
    rest.path = joined_path(rest.path, "_buffers");
    push_members(rest, module.buffers, kBuffer, is_hidden);
  }

  // The values of a dictionary whose keys are wanted.
  template <typename IsWanted>
  void push_members(const Place& place,
                    std::uint32_t dict,
                    std::uint16_t flags,
                    const IsWanted& is_wanted) {
    const auto items = graph_.items(dict);
    steps_ += items.size();
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      const std::size_t count = stack_.size();
      if (!is_wanted(items[i])) continue;
      push(place, items[i + 1], path_component(graph_, items[i]), items[i]);
      if (stack_.size() > count) stack_.back().flags = flags;
    }
  }

  // The items of a dict or list as if they were the object's own; another value under `component`.
  void push_in_place(const Place& place, std::uint32_t node, std::string_view component) {
    const ValueKind kind = graph_.node(node).kind;
    if (kind == ValueKind::kDict || kind == ValueKind::kList) {
      add_place({.node = node,
                 .path = place.path,
                 .nameless_key = place.nameless_key,
                 .owner = place.owner});
    } else {
      push(place, node, std::string(component));
    }
  }

  // Without a component: below that key.
  void push(const Place& parent,
            std::uint32_t node,
            const std::optional<std::string>& component,
            std::uint32_t key = 0) {
    if (graph_.node(node).child_count == 0 && !is_tensor(graph_.node(node).kind)) return;
    if (is_spent()) return;
    // The path ends where that key is.
    const bool has_name = component && !parent.nameless_key;
    add_place({.node = node,
               .path = has_name ? joined_path(parent.path, *component) : parent.path,
               .nameless_key = component ? parent.nameless_key : std::optional(key),
               .owner = parent.owner});
  }

  void add_place(Place place) {
    path_bytes_ += place.path.size();
    stack_.push_back(std::move(place));
  }

  // `_metadata` maps the path of each module below the dictionary to {'version': int, ...}.
  void collect_modules(const Place& place) {
    if (!graph_.node(place.node).has_attributes) return;
    const auto metadata = value_of(graph_.children(place.node).back(), "_metadata");
    if (!metadata || !is_mapping(graph_.node(*metadata).kind)) return;
    const auto items = graph_.items(*metadata);
    for (std::size_t i = 0; i + 1 < items.size() && !is_spent(); i += 2) {
      const auto version = value_of(items[i + 1], "version");
      if (graph_.node(items[i]).kind != ValueKind::kStr || !version) continue;
      if (graph_.node(*version).kind != ValueKind::kInt) continue;
      add_module(place.path, graph_.text(items[i]), graph_.integer(*version));
    }
  }

  void add_module(const std::string& path, std::string_view module, std::int64_t version) {
    std::string full = module.empty() ? path : joined_path(path, module);
    name_bytes_ += full.size();
    if (!module_paths_.insert(full).second) return;
    names_.modules.push_back({.path = std::move(full), .version = version});
  }

  std::optional<std::uint32_t> value_of(std::uint32_t mapping, std::string_view key) {
    if (is_mapping(graph_.node(mapping).kind)) steps_ += graph_.items(mapping).size();
    return value_of_key(graph_, mapping, key);
  }

  const ValueGraph& graph_;
  std::span<const CompositeContent> composites_;
  const NamingLimits limits_;
  std::vector<Place> stack_;
  std::uint64_t steps_ = 0;
  std::uint64_t name_bytes_ = 0;  // of the names found
  std::uint64_t path_bytes_ = 0;  // of the places on the stack
  std::unordered_set<std::string> module_paths_;
  Names names_;
};

// The value whose key is `path`, or the first whose key is its beginning and that has the rest.
std::optional<std::uint32_t> descend(const ValueGraph& graph,
                                     std::uint32_t node,
                                     std::string_view path) {
  if (path.empty()) return node;
  if (!is_mapping(graph.node(node).kind)) return std::nullopt;
  const auto items = graph.items(node);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const auto key = path_component(graph, items[i]);
    if (!key || key->empty() || !path.starts_with(*key)) continue;
    const std::string_view rest = path.substr(key->size());
    if (!rest.empty() && rest.front() != '.') continue;
    const auto found = descend(graph, items[i + 1], rest.empty() ? rest : rest.substr(1));
    if (found) return found;
  }
  return std::nullopt;
}

std::string key_list(const ValueGraph& graph, std::uint32_t node) {
  constexpr std::size_t kShown = 20;
  if (!is_mapping(graph.node(node).kind)) return "the checkpoint is no dictionary";
  const auto items = graph.items(node);
  std::string text = "its keys are";
  for (std::size_t i = 0; i + 1 < items.size() && i < 2 * kShown; i += 2) {
    const auto key = path_component(graph, items[i]);
    if (key) text += concat(i > 0 ? ", " : " ", quoted(*key));
  }
  return items.size() > 2 * kShown ? text + ", ..." : text;
}

}  // namespace

// A list of a million times the same word is one of a million items; of a million times the same
// tensor it is a million names.
NamingLimits::NamingLimits(const ValueGraph& graph, const std::vector<bool>& holders)
    : steps(kFreeSteps + kStepsPerItem * graph.size()),
      name_bytes(kFreeNameBytes + kNameBytesPerNode * graph.size()) {
  for (const std::uint32_t child : graph.all_children())
    if (!holders[child]) steps += kStepsPerItem;
}

bool is_tensor(ValueKind kind) {
  return kind == ValueKind::kTensor || kind == ValueKind::kComposite;
}

std::vector<bool> find_holders(const ValueGraph& graph) {
  std::vector<bool> holds(graph.size(), false);
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    const auto holds_any = [&](std::uint32_t child) -> bool { return holds[child]; };
    holds[node] =
        is_tensor(graph.node(node).kind) || std::ranges::any_of(graph.children(node), holds_any);
  }
  return holds;
}

bool is_sequence(ValueKind kind) {
  return kind == ValueKind::kList || kind == ValueKind::kTuple || kind == ValueKind::kSet ||
         kind == ValueKind::kFrozenSet;
}

std::optional<std::string> path_component(const ValueGraph& graph, std::uint32_t key) {
  const ValueKind kind = graph.node(key).kind;
  if (kind == ValueKind::kStr) return std::string(graph.text(key));
  if (kind == ValueKind::kInt) return std::to_string(graph.integer(key));
  return std::nullopt;
}

std::string joined_path(std::string_view path, std::string_view component) {
  return path.empty() ? std::string(component) : concat(path, ".", component);
}

std::optional<std::uint32_t> value_of_key(const ValueGraph& graph,
                                          std::uint32_t mapping,
                                          std::string_view key) {
  if (!is_mapping(graph.node(mapping).kind)) return std::nullopt;
  const auto items = graph.items(mapping);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const bool is_string = graph.node(items[i]).kind == ValueKind::kStr;
    if (is_string && graph.text(items[i]) == key) return items[i + 1];
  }
  return std::nullopt;
}

Result<Names> name_tensors(const ValueGraph& graph,
                           std::uint32_t root,
                           std::span<const CompositeContent> composites) {
  return Namer(graph, composites).run(root);
}

Result<std::uint32_t> find_by_path(const ValueGraph& graph, std::string_view path) {
  const auto found = descend(graph, graph.root(), path);
  if (found) return *found;
  return Error(ErrorCode::kInvalidArgument,
               concat("there is no ", quoted(path), " in it, ", key_list(graph, graph.root())));
}

}  // namespace weightmap::format
