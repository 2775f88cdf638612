// SPDX-License-Identifier: Apache-2.0
#include "convert/plan.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "convert/naming.h"

namespace weightmap::convert {
namespace {

constexpr std::uint32_t kAbsent = 0xFFFFFFFFU;
constexpr std::string_view kProducer = "weightmap " WEIGHTMAP_VERSION;

std::uint16_t flags_of(const checkpoint::Tensor& tensor) {
  unsigned flags = 0;
  if (tensor.is_parameter) flags |= format::kParameter;
  if (tensor.is_buffer) flags |= format::kBuffer;
  if (tensor.requires_grad) flags |= format::kRequiresGrad;
  if (tensor.conj) flags |= format::kConj;
  if (tensor.neg) flags |= format::kNeg;
  if (tensor.meta) flags |= format::kMeta;
  if (tensor.uninitialized) flags |= format::kUninitialized;
  return static_cast<std::uint16_t>(flags);
}

std::uint16_t flags_of(const checkpoint::Composite& composite) {
  unsigned flags = 0;
  if (composite.is_parameter) flags |= format::kParameter;
  if (composite.is_buffer) flags |= format::kBuffer;
  if (composite.requires_grad) flags |= format::kRequiresGrad;
  return static_cast<std::uint16_t>(flags);
}

// Gives storages their segments in the order of first use.
class SegmentList {
 public:
  explicit SegmentList(const checkpoint::Checkpoint& source)
      : source_(source), segments_(source.storages.size(), kAbsent) {}

  std::uint32_t segment_of(std::uint32_t storage, Plan& plan) {
    if (storage == checkpoint::kNoStorage) return format::kNoSegment;
    std::uint32_t& segment = segments_[storage];
    if (segment == kAbsent) {
      segment = static_cast<std::uint32_t>(plan.segments.size());
      const std::uint64_t size_bytes = source_.storages[storage].size_bytes;
      plan.segments.push_back({.storage = storage, .size_bytes = size_bytes});
      plan.content.segment_sizes_bytes.push_back(size_bytes);
    }
    return segment;
  }

 private:
  const checkpoint::Checkpoint& source_;
  std::vector<std::uint32_t> segments_;  // by storage
};

// Entries and composites in the order of the names, and where each value first stands among them.
class EntryList {
 public:
  EntryList(const checkpoint::Checkpoint& source, const Names& names, Plan& plan)
      : source_(source), names_(names), plan_(plan), segments_(source) {}

  // What a node of the graph becomes: by node, the entry or composite that first names it.
  using Numbers = std::unordered_map<std::uint32_t, std::uint32_t>;

  Numbers add_all() {
    for (std::uint32_t i = 0; i < names_.tensors.size(); ++i) {
      const NamedTensor& named = names_.tensors[i];
      const ValueNode& node = source_.values.node(named.node);
      if (node.kind == ValueKind::kComposite) {
        owners_.emplace(i, plan_.content.composites.size());
        add_composite(named, source_.composites[node.number]);
      } else if (named.owner != kNoOwner) {
        add_owned(named, source_.tensors[node.number]);
      } else {
        const std::uint32_t entry =
            add_entry(named.name, source_.tensors[node.number], named.flags);
        numbers_.emplace(named.node, entry);
      }
    }
    sort_composites();
    return std::move(numbers_);
  }

 private:
  std::uint32_t add_entry(std::string name, const checkpoint::Tensor& tensor, unsigned more_flags) {
    const auto shape = source_.shape(tensor);
    const auto strides = source_.strides(tensor);
    const auto flags = static_cast<std::uint16_t>(flags_of(tensor) | more_flags);
    plan_.content.tensors.push_back({.name = std::move(name),
                                     .dtype = tensor.dtype,
                                     .flags = flags,
                                     .segment = segments_.segment_of(tensor.storage, plan_),
                                     .offset_bytes = tensor.offset_bytes,
                                     .shape = {shape.begin(), shape.end()},
                                     .strides = {strides.begin(), strides.end()}});
    return static_cast<std::uint32_t>(plan_.content.tensors.size() - 1);
  }

  void add_composite(const NamedTensor& named, const checkpoint::Composite& composite) {
    format::CompositeContent content{
        .name = named.name,
        .kind = composite.kind,
        .dtype = composite.dtype,
        .flags = static_cast<std::uint16_t>(flags_of(composite) | named.flags),
        .shape = composite.shape,
        .reals = composite.reals,
        .integers = composite.integers,
        .class_name = composite.class_name};
    // Of two with one name, which the format refuses, only the first gets names of its own.
    has_own_names_.push_back(composite_names_.insert(named.name).second);
    numbers_.emplace(named.node, static_cast<std::uint32_t>(plan_.content.composites.size()));
    plan_.content.composites.push_back(std::move(content));
    plan_.composite_nodes.push_back(named.node);
    const std::size_t number = plan_.content.composites.size() - 1;
    for (const checkpoint::CompositePart& part : composite.parts) {
      add_part(number, part.role, source_.tensors[part.tensor]);
      roles_.insert(concat(number, ".", part.role));
    }
  }

  std::uint32_t add_part(std::size_t composite,
                         const std::string& role,
                         const checkpoint::Tensor& tensor) {
    const std::string name =
        part_name(plan_.content.composites[composite].name, role, has_own_names_[composite]);
    const std::uint32_t entry = add_entry(name, tensor, format::kPart);
    plan_.content.composites[composite].parts.push_back({.role = role, .tensor = entry});
    return entry;
  }

  // The role is the path in the state of its owner.
  void add_owned(const NamedTensor& named, const checkpoint::Tensor& tensor) {
    const std::size_t composite = owners_.at(named.owner);
    const std::string& owner = names_.tensors[named.owner].name;
    std::string role = owner.empty() ? named.name : named.name.substr(owner.size() + 1);
    // A state may have an `a.b`, and an `a` with a `b`.
    if (!roles_.insert(concat(composite, ".", role)).second) {
      role += concat("_", plan_.content.tensors.size());
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
    auto& composites = plan_.content.composites;
    std::vector<std::uint32_t> order(composites.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return composites[i].name; });
    std::vector<std::uint32_t> place_of(order.size());
    std::vector<format::CompositeContent> sorted;
    std::vector<std::uint32_t> nodes;
    for (const std::uint32_t from : order) {
      place_of[from] = static_cast<std::uint32_t>(sorted.size());
      sorted.push_back(std::move(composites[from]));
      nodes.push_back(plan_.composite_nodes[from]);
    }
    composites = std::move(sorted);
    plan_.composite_nodes = std::move(nodes);
    for (auto& [node, number] : numbers_) {
      if (source_.values.node(node).kind == ValueKind::kComposite) number = place_of[number];
    }
  }

  const checkpoint::Checkpoint& source_;
  const Names& names_;
  Plan& plan_;
  SegmentList segments_;
  std::unordered_set<std::string> taken_;  // names, once they matter
  std::unordered_set<std::string> composite_names_;
  std::vector<bool> has_own_names_;                        // by composite
  std::unordered_map<std::uint32_t, std::size_t> owners_;  // composites, by place among the names
  std::unordered_set<std::string> roles_;                  // of all composites
  Numbers numbers_;
};

void add_modules(const Names& names, Plan& plan) {
  for (const NamedModule& module : names.modules) {
    plan.content.modules.push_back({.path = module.path, .version = module.version});
  }
}

// Children stand before parents, so one pass down from the root finds all that it reaches.
std::vector<bool> reachable_from(const ValueGraph& graph, std::uint32_t root) {
  std::vector<bool> reached(graph.size(), false);
  reached[root] = true;
  for (std::uint32_t node = root + 1; node-- > 0;) {
    if (!reached[node]) continue;
    for (const std::uint32_t child : graph.children(node))
      reached[child] = true;
  }
  return reached;
}

Result<void> copy_values(const ValueGraph& graph,
                         std::uint32_t root,
                         const EntryList::Numbers& numbers,
                         Plan& plan) {
  const std::vector<bool> reached = reachable_from(graph, root);
  std::vector<std::uint32_t> copies(graph.size(), kAbsent);
  std::vector<std::uint32_t> children;
  ValueGraph& copy = plan.content.values;
  for (std::uint32_t node = 0; node <= root; ++node) {
    if (!reached[node]) continue;
    const ValueNode& from = graph.node(node);
    children.clear();
    for (const std::uint32_t child : graph.children(node))
      children.push_back(copies[child]);
    std::uint64_t number = from.number;
    if (from.kind == ValueKind::kTensor || from.kind == ValueKind::kComposite) {
      const auto named = numbers.find(node);
      // Names come from values; what only a dictionary's key holds has none.
      if (named == numbers.end()) {
        return Error(ErrorCode::kUnsupported, "a tensor inside a dictionary's key has no name");
      }
      number = named->second;
    }
    copies[node] =
        copy.add_node(from.kind, number, children, graph.text(node), from.has_attributes);
  }
  for (std::uint32_t& node : plan.composite_nodes)
    node = copies[node];
  return {};
}

// "module\nname" as people write it.
std::string class_text(std::string_view global) {
  std::string text(global);
  std::ranges::replace(text, '\n', '.');
  return text;
}

void collect_opaque_classes(Plan& plan) {
  const ValueGraph& values = plan.content.values;
  std::set<std::string> classes;
  for (std::uint32_t node = 0; node < values.size(); ++node) {
    if (values.node(node).kind == ValueKind::kOpaque) classes.insert(class_text(values.text(node)));
  }
  plan.opaque_classes.assign(classes.begin(), classes.end());
}

Result<void> check_alignment(std::uint32_t alignment_bytes) {
  if (std::has_single_bit(alignment_bytes) && alignment_bytes >= format::kMinAlignmentBytes &&
      alignment_bytes <= format::kMaxAlignmentBytes) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument,
               concat("an alignment is a power of two from ", format::kMinAlignmentBytes, " to ",
                      format::kMaxAlignmentBytes, ", not ", alignment_bytes));
}

}  // namespace

Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options) {
  const Result<void> alignment = check_alignment(options.alignment_bytes);
  if (!alignment) return alignment.error();
  const Result<std::uint32_t> root = find_by_path(source.values, options.checkpoint.root);
  if (!root) return root.error();
  const Result<Names> names = name_tensors(source.values, *root, source.composites);
  if (!names) return names.error();

  Plan plan;
  plan.content.alignment_bytes = options.alignment_bytes;
  plan.content.producer = kProducer;
  const auto numbers = EntryList(source, *names, plan).add_all();
  add_modules(*names, plan);
  const Result<void> copied = copy_values(source.values, *root, numbers, plan);
  if (!copied) return copied.error();
  collect_opaque_classes(plan);
  return plan;
}

}  // namespace weightmap::convert
