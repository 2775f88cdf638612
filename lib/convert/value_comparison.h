// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "weightmap/diff.h"
#include "weightmap/value_graph.h"

namespace weightmap::convert {

struct ValueComparisonLimits {
  static constexpr std::size_t kDifferences = 1000;
  static constexpr std::size_t kPathBytes = 1024;
};

struct ValueComparison {
  std::vector<ValueDifference> differences;  // in the order of the first graph, parents first
  bool more = false;                         // further ones were not looked for
};

// What differs in two objects. Tensors and composites are alike wherever they stand, and are not
// missed where a mapping has none: who compares them goes by their names. Time and memory: linear
// in both graphs, whatever they share.
ValueComparison compare_values(const ValueGraph& first, const ValueGraph& second);

}  // namespace weightmap::convert
