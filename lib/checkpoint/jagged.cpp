// SPDX-License-Identifier: Apache-2.0
// torch/nested/_internal/nested_tensor.py of 2.13.
#include "checkpoint/jagged.h"

#include <span>

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kArgumentCount = kJaggedArguments.size() + 2;

class JaggedReader {
 public:
  JaggedReader(const GraphBuilder& graph, std::uint32_t arguments, std::uint32_t state)
      : graph_(graph), arguments_(arguments), state_(state) {}

  std::optional<JaggedDraft> read() const {
    const auto requires_grad = jagged_item(graph_, arguments_, "requires_grad");
    const auto values = jagged_item(graph_, state_, "_values");
    const auto offsets = jagged_item(graph_, state_, "_offsets");
    const auto dimension = jagged_item(graph_, state_, kRaggedDimension);
    const bool is_whole = is(requires_grad, ValueKind::kBool) && is(values, ValueKind::kTensor) &&
                          is(offsets, ValueKind::kTensor) && is(dimension, ValueKind::kInt);
    if (!is_whole || !repeats_state()) return std::nullopt;
    return JaggedDraft{
        .values = static_cast<std::uint32_t>(graph_.node(*values).number),
        .offsets = static_cast<std::uint32_t>(graph_.node(*offsets).number),
        .ragged_dimension = static_cast<std::int64_t>(graph_.node(*dimension).number),
        .requires_grad = graph_.node(*requires_grad).number != 0};
  }

 private:
  bool is(std::optional<std::uint32_t> node, ValueKind kind) const {
    return node && graph_.node(*node).kind == kind;
  }

  // Whether whoever has the state and requires_grad has the arguments.
  bool repeats_state() const {
    const bool has_one_dimension = number_in(arguments_) == number_in(state_);
    return graph_.children(arguments_).size() == 2 * kArgumentCount && has_one_dimension &&
           std::ranges::all_of(kJaggedArguments, [this](const JaggedArgument& argument) {
             const auto given = jagged_item(graph_, arguments_, argument.name);
             return given && given == jagged_item(graph_, state_, argument.attribute);
           });
  }

  std::optional<std::uint64_t> number_in(std::uint32_t dict) const {
    const auto found = jagged_item(graph_, dict, kRaggedDimension);
    if (!is(found, ValueKind::kInt)) return std::nullopt;
    return graph_.node(*found).number;
  }

  const GraphBuilder& graph_;
  std::uint32_t arguments_;
  std::uint32_t state_;
};

}  // namespace

std::optional<JaggedDraft> read_jagged(const GraphBuilder& graph, std::uint32_t call) {
  const auto parts = graph.children(call);
  const auto arguments = graph.children(parts[2]);
  if (arguments.size() != 1) return std::nullopt;
  return JaggedReader(graph, arguments[0], parts[3]).read();
}

}  // namespace weightmap::checkpoint
