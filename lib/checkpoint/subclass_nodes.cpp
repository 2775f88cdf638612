// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/subclass_nodes.h"

#include <algorithm>

namespace weightmap::checkpoint {

std::uint32_t SubclassNodes::add_composite(std::uint32_t composite, std::uint32_t state) {
  into_.composites[composite].is_parameter = is_parameter(state);
  const ValueKind kind = graph_.node(state).kind;
  if (kind == ValueKind::kNone) return graph_.add_number(ValueKind::kComposite, composite);
  if (kind != ValueKind::kDict) {
    const std::uint32_t pair[] = {graph_.add_text(ValueKind::kStr, kStateAttribute), state};
    state = graph_.add_parent(ValueKind::kDict, pair);
  }
  return graph_.add_tensor_with_attributes(ValueKind::kComposite, composite, state);
}

std::uint32_t SubclassNodes::add_object(ValueKind kind, std::uint32_t arguments, TextRange name) {
  const std::uint32_t none = graph_.add_none();
  const std::uint32_t parts[kOpaqueChildren] = {arguments, none, none, none, none};
  return graph_.add_parent(kind, parts, name);
}

bool SubclassNodes::holds_tensor(std::uint32_t node) {
  const auto holds = [this](std::uint32_t child) -> bool { return holds_tensor_[child]; };
  for (auto next = static_cast<std::uint32_t>(holds_tensor_.size()); next <= node; ++next) {
    const ValueKind kind = graph_.node(next).kind;
    const bool is_around_one =
        kind != ValueKind::kComposite && std::ranges::any_of(graph_.children(next), holds);
    holds_tensor_.push_back(kind == ValueKind::kTensor || is_around_one);
  }
  return holds_tensor_[node];
}

// A state is a dict of attributes, or a tuple of one and of those in slots.
bool SubclassNodes::is_parameter(std::uint32_t state) {
  if (graph_.node(state).kind != ValueKind::kTuple) return says_parameter(state);
  const auto parts = graph_.children(state);
  return parts.size() == 2 &&
         std::ranges::any_of(parts, [this](std::uint32_t part) { return says_parameter(part); });
}

// nn.Parameter(tensor), of a tensor of a subclass, is the tensor itself with an attribute.
bool SubclassNodes::says_parameter(std::uint32_t attributes) {
  if (graph_.node(attributes).kind != ValueKind::kDict) return false;
  const auto items = graph_.children(attributes);
  budget_.spend(items.size());  // many tensors may have one state
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const bool is_it =
        graph_.node(items[i]).kind == ValueKind::kStr && graph_.text(items[i]) == "_is_param";
    const ValueNode& value = graph_.node(items[i + 1]);
    if (is_it) return value.kind == ValueKind::kBool && value.number == 1;
  }
  return false;
}

}  // namespace weightmap::checkpoint
