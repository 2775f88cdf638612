// SPDX-License-Identifier: Apache-2.0
#include "convert/plan.h"

#include <algorithm>
#include <bit>
#include <set>
#include <unordered_map>

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

void add_tensors(const checkpoint::Checkpoint& source, const Names& names, Plan& plan) {
  SegmentList segments(source);
  for (const NamedTensor& named : names.tensors) {
    const checkpoint::Tensor& tensor = source.tensors[source.values.node(named.node).number];
    const auto shape = source.shape(tensor);
    const auto strides = source.strides(tensor);
    plan.content.tensors.push_back({.name = named.name,
                                    .dtype = tensor.dtype,
                                    .flags = flags_of(tensor),
                                    .segment = segments.segment_of(tensor.storage, plan),
                                    .offset_bytes = tensor.offset_bytes,
                                    .shape = {shape.begin(), shape.end()},
                                    .strides = {strides.begin(), strides.end()}});
  }
}

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

// Tensor nodes get the number of the entry that first names them.
std::unordered_map<std::uint32_t, std::uint32_t> entries_by_node(const Names& names) {
  std::unordered_map<std::uint32_t, std::uint32_t> entries;
  for (std::uint32_t entry = 0; entry < names.tensors.size(); ++entry) {
    entries.emplace(names.tensors[entry].node, entry);
  }
  return entries;
}

Result<void> copy_values(const ValueGraph& graph,
                         std::uint32_t root,
                         const Names& names,
                         Plan& plan) {
  const std::vector<bool> reached = reachable_from(graph, root);
  const auto entries = entries_by_node(names);
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
    if (from.kind == ValueKind::kTensor) {
      const auto entry = entries.find(node);
      // Names come from values; what only a dictionary's key holds has none.
      if (entry == entries.end()) {
        return Error(ErrorCode::kUnsupported, "a tensor inside a dictionary's key has no name");
      }
      number = entry->second;
    }
    copies[node] =
        copy.add_node(from.kind, number, children, graph.text(node), from.has_attributes);
  }
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
  const Result<Names> names = name_tensors(source.values, *root);
  if (!names) return names.error();

  Plan plan;
  plan.content.alignment_bytes = options.alignment_bytes;
  plan.content.producer = kProducer;
  add_tensors(source, *names, plan);
  add_modules(*names, plan);
  const Result<void> copied = copy_values(source.values, *root, *names, plan);
  if (!copied) return copied.error();
  collect_opaque_classes(plan);
  return plan;
}

}  // namespace weightmap::convert
