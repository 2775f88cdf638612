// SPDX-License-Identifier: Apache-2.0
// Children stand before parents: one pass down finds what is reached, one pass up copies it.
#include "convert/subclass_states.h"

#include <map>
#include <string>
#include <tuple>

#include "base/text.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

using Place = std::tuple<std::uint32_t,
                         std::uint64_t,
                         Dtype,
                         std::vector<std::int64_t>,
                         std::vector<std::int64_t>>;

Place place_of(const format::TensorContent& tensor) {
  return {tensor.segment, tensor.offset_bytes, tensor.dtype, tensor.shape, tensor.strides};
}

// By composite: the node of its state, if it is kept and has one; else kLeftOut.
std::vector<std::uint32_t> find_states(const Plan& plan, const NewNumbers& numbers) {
  const ValueGraph& graph = plan.content.values;
  std::vector<std::uint32_t> states;
  for (std::size_t i = 0; i < plan.content.composites.size(); ++i) {
    const std::uint32_t node = plan.composite_nodes[i];
    const bool has_state = plan.content.composites[i].kind == CompositeKind::kWrapperSubclass &&
                           numbers.composites[i] != kLeftOut && node != kNoNode &&
                           graph.node(node).has_attributes;
    states.push_back(has_state ? graph.children(node).back() : kLeftOut);
  }
  return states;
}

// By node: a composite in whose state it is; else kLeftOut.
std::vector<std::uint32_t> find_owners(const ValueGraph& graph,
                                       const std::vector<std::uint32_t>& states) {
  std::vector<std::uint32_t> owners(graph.size(), kLeftOut);
  for (std::uint32_t i = 0; i < states.size(); ++i) {
    if (states[i] != kLeftOut) owners[states[i]] = i;
  }
  for (std::uint32_t node = graph.size(); node-- > 0;) {
    if (owners[node] == kLeftOut) continue;
    for (const std::uint32_t child : graph.children(node)) {
      if (owners[child] == kLeftOut) owners[child] = owners[node];
    }
  }
  return owners;
}

std::uint64_t new_number(const ValueNode& node, const NewNumbers& numbers) {
  if (node.kind == ValueKind::kTensor) return numbers.tensors[node.number];
  return node.kind == ValueKind::kComposite ? numbers.composites[node.number] : node.number;
}

bool is_left_out(const ValueNode& node, const NewNumbers& numbers) {
  return format::is_tensor(node.kind) && new_number(node, numbers) == kLeftOut;
}

}  // namespace

void number_twins(const std::vector<format::TensorContent>& tensors,
                  std::vector<std::uint32_t>& new_numbers) {
  std::map<Place, std::uint32_t> kept;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (new_numbers[i] != kLeftOut) kept.emplace(place_of(tensors[i]), new_numbers[i]);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (new_numbers[i] != kLeftOut) continue;
    const auto twin = kept.find(place_of(tensors[i]));
    if (twin != kept.end()) new_numbers[i] = twin->second;
  }
}

Result<std::vector<std::uint32_t>> copy_states(const Plan& from,
                                               const NewNumbers& numbers,
                                               ValueGraph& into) {
  const ValueGraph& graph = from.content.values;
  std::vector<std::uint32_t> states = find_states(from, numbers);
  const std::vector<std::uint32_t> owners = find_owners(graph, states);
  std::vector<std::uint32_t> copies(graph.size(), kLeftOut);
  std::vector<std::uint32_t> children;
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    if (owners[node] == kLeftOut) continue;
    const ValueNode& value = graph.node(node);
    if (is_left_out(value, numbers)) {
      return Error(ErrorCode::kInvalidArgument,
                   concat("the rules leave out a tensor that ",
                          quoted(from.content.composites[owners[node]].name), " is made of"));
    }
    children.clear();
    for (const std::uint32_t child : graph.children(node))
      children.push_back(copies[child]);
    copies[node] = into.add_node(value.kind, new_number(value, numbers), children, graph.text(node),
                                 value.has_attributes);
  }
  for (std::uint32_t& state : states) {
    if (state != kLeftOut) state = copies[state];
  }
  return states;
}

}  // namespace weightmap::convert
