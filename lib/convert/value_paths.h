// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/value_graph.h"

namespace weightmap::convert {

// Where the values of an object stand, for messages: each under the first that held it when a walk
// came by.
class ValuePaths {
 public:
  explicit ValuePaths(const ValueGraph& values);

  void note(std::uint32_t parent, std::uint32_t child);
  bool knows(std::uint32_t node) const;  // the root is never noted

  // "optimizer.state.0"; "" for the root.
  std::string path_to(std::uint32_t node) const;

 private:
  std::string step(std::uint32_t parent, std::uint32_t child) const;

  const ValueGraph& values_;
  std::vector<std::uint32_t> parents_;
};

}  // namespace weightmap::convert
