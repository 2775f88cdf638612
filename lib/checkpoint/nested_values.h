// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

namespace weightmap::checkpoint {

// Dicts and lists made again from the paths of what stood in them, as unflatten_state_dict of
// torch.distributed.checkpoint does it: a place of a list that no path names is None.
class NestedValues {
 public:
  static constexpr std::size_t kMaxDepth = 1000;
  static constexpr std::uint64_t kMaxHoles = 1'000'000;  // in all lists

  struct Step {
    std::string text;       // a key, or the digits of a place
    bool is_place = false;  // in a list
    std::uint64_t place = 0;
  };

  NestedValues() { nodes_.emplace_back(); }

  // Puts a node of the graph at the end of a path. Errors: kCorrupt when something stands there or
  // on the way; kUnsupported for more than kMaxDepth steps. REQUIRES: a path, whose first step is a
  // key.
  Result<void> add(const std::vector<Step>& path, std::uint32_t value);

  // Adds the containers to the graph, a dict as the last. Error: kUnsupported for kMaxHoles.
  Result<void> finish(ValueGraph& graph) const;

 private:
  enum class Kind : std::uint8_t { kDict, kList, kValue };
  struct Child {
    std::uint32_t node = 0;
    std::string key;          // of a dict
    std::uint64_t place = 0;  // in a list
  };
  struct Node {
    Kind kind = Kind::kDict;
    std::uint32_t value = 0;  // of kValue: in the graph
    std::vector<Child> children;
  };

  Result<std::uint32_t> add_list(const Node& list,
                                 const std::vector<std::uint32_t>& made,
                                 ValueGraph& graph,
                                 std::uint64_t& holes_left) const;

  std::vector<Node> nodes_;  // parents first
  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> places_;
};

}  // namespace weightmap::checkpoint
