// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/nested_values.h"

#include <algorithm>

#include "base/text.h"

namespace weightmap::checkpoint {

Result<void> NestedValues::add(const std::vector<Step>& path, std::uint32_t value) {
  if (path.size() > kMaxDepth) {
    return Error(ErrorCode::kUnsupported, concat("nests deeper than ", kMaxDepth, " levels"));
  }
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Step& step = path[i];
    const Kind holder = step.is_place ? Kind::kList : Kind::kDict;
    const bool is_last = i + 1 == path.size();
    const Kind kind = is_last ? Kind::kValue : path[i + 1].is_place ? Kind::kList : Kind::kDict;
    const auto next = static_cast<std::uint32_t>(nodes_.size());
    const auto [place, is_new] = places_.emplace(std::pair(at, step.text), next);
    if (nodes_[at].kind != holder || (!is_new && (is_last || nodes_[place->second].kind != kind))) {
      return Error(ErrorCode::kCorrupt,
                   concat("has a path that contradicts another at ", quoted(step.text)));
    }
    if (is_new) {
      nodes_[at].children.push_back({.node = next, .key = step.text, .place = step.place});
      nodes_.push_back({.kind = kind, .value = value});
    }
    at = place->second;
  }
  return {};
}

Result<std::uint32_t> NestedValues::add_list(const Node& list,
                                             const std::vector<std::uint32_t>& made,
                                             ValueGraph& graph,
                                             std::uint64_t& holes_left) const {
  std::uint64_t size = 0;
  for (const Child& child : list.children)
    size = std::max(size, child.place + 1);
  const std::uint64_t holes = size - list.children.size();
  if (holes > holes_left) {
    return Error(ErrorCode::kUnsupported, concat("has a list of ", size, " places, of which ",
                                                 list.children.size(), " are filled"));
  }
  holes_left -= holes;
  const std::uint32_t none = holes > 0 ? graph.add_number(ValueKind::kNone, 0) : 0;
  std::vector<std::uint32_t> items(size, none);
  for (const Child& child : list.children)
    items[child.place] = made[child.node];
  return graph.add_parent(ValueKind::kList, items);
}

Result<void> NestedValues::finish(ValueGraph& graph) const {
  std::vector<std::uint32_t> made(nodes_.size());  // by node: the one in the graph
  std::uint64_t holes_left = kMaxHoles;
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    const Node& node = nodes_[i];
    if (node.kind == Kind::kValue) {
      made[i] = node.value;
    } else if (node.kind == Kind::kList) {
      const auto list = add_list(node, made, graph, holes_left);
      if (!list) return list.error();
      made[i] = *list;
    } else {
      std::vector<std::uint32_t> pairs;
      for (const Child& child : node.children) {
        pairs.push_back(graph.add_text(ValueKind::kStr, child.key));
        pairs.push_back(made[child.node]);
      }
      made[i] = graph.add_parent(ValueKind::kDict, pairs);
    }
  }
  return {};
}

}  // namespace weightmap::checkpoint
