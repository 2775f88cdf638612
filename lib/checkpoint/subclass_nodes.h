// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/graph_builder.h"

namespace weightmap::checkpoint {

// The nodes that tensors of subclasses become. Refers to everything it is given.
// REQUIRES for all: nodes are of the graph, composites of the checkpoint.
class SubclassNodes {
 public:
  SubclassNodes(GraphBuilder& graph, Budget& budget, Checkpoint& into)
      : graph_(graph), budget_(budget), into_(into) {}

  // A composite's. Its attributes are its state, if that is a dict; nothing, if it is None; else a
  // dict of kStateAttribute and the state. Says of the composite whether it is a parameter.
  std::uint32_t add_composite(std::uint32_t composite, std::uint32_t state);

  // That of an object which its arguments alone make.
  std::uint32_t add_object(ValueKind kind, std::uint32_t arguments, TextRange name);

  // Whether there is a tensor in it that no composite in it has for itself.
  bool holds_tensor(std::uint32_t node);

 private:
  bool is_parameter(std::uint32_t state);
  bool says_parameter(std::uint32_t attributes);

  GraphBuilder& graph_;
  Budget& budget_;
  Checkpoint& into_;
  std::vector<bool> holds_tensor_;  // by node, as far as was asked
};

}  // namespace weightmap::checkpoint
