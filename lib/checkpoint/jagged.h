// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "weightmap/value_graph.h"

#include "checkpoint/globals.h"
#include "checkpoint/graph_builder.h"

// Nested tensors of jagged layout. For PyTorch they are tensors of a subclass of its own, which has
// a function of its own: `_rebuild_from_type_v2(_rebuild_njt, NestedTensor, (arguments,), state)`,
// the arguments a dict that repeats what the state has.
namespace weightmap::checkpoint {

inline constexpr GlobalName kJaggedClass{"torch.nested._internal.nested_tensor", "NestedTensor"};
inline constexpr GlobalName kRebuildJagged{kJaggedClass.module, "_rebuild_njt"};

// What is the same object in both.
struct JaggedArgument {
  std::string_view name;
  std::string_view attribute;
};
inline constexpr auto kJaggedArguments = std::to_array<JaggedArgument>({
    {"values", "_values"},
    {"offsets", "_offsets"},
    {"lengths", "_lengths"},
    {"_metadata_cache", "_metadata_cache"},
});
inline constexpr std::string_view kRaggedDimension = "_ragged_idx";  // in both, a number

// An attribute of a state, or an argument, of such a tensor. Graph: a GraphBuilder or a ValueGraph.
template <typename Graph>
std::optional<std::uint32_t> jagged_item(const Graph& graph,
                                         std::uint32_t dict,
                                         std::string_view name) {
  // The class sets its attributes before anybody can set another. Many tensors may have one state,
  // so that nobody is to look through a long one for each.
  constexpr std::size_t kMostLooked = 32;
  if (graph.node(dict).kind != ValueKind::kDict) return std::nullopt;
  const auto items = graph.children(dict);
  const std::size_t end = std::min(items.size(), kMostLooked);
  for (std::size_t i = 0; i + 1 < end; i += 2) {
    const bool is_it = graph.node(items[i]).kind == ValueKind::kStr && graph.text(items[i]) == name;
    if (is_it) return items[i + 1];
  }
  return std::nullopt;
}

struct JaggedDraft {
  std::uint32_t values = 0;  // in Checkpoint::tensors
  std::uint32_t offsets = 0;
  std::int64_t ragged_dimension = 0;
  bool requires_grad = false;
};

// From the node of (function, class, (arguments,), state). Nothing: not as torch.save writes it, so
// that the state does not tell all.
std::optional<JaggedDraft> read_jagged(const GraphBuilder& graph, std::uint32_t call);

}  // namespace weightmap::checkpoint
