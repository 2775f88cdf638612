// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/graph_builder.h"

namespace weightmap::checkpoint {

// Keys are equal as Python has it: 1, 1.0 and True are one key, so are a torch.Size and the tuple
// of its sizes. (Integers beyond 64 bits equal only each other, and objects only themselves.)
// Errors for both: kCorrupt for what Python cannot hash, kUnsupported for a tensor as a key.

// Pairs of key and value as they were set: of equal keys, the first keeps its place and the last
// gives the value. REQUIRES: an even number of nodes.
Result<void> merge_equal_keys(const GraphBuilder& graph,
                              Budget& budget,
                              std::vector<std::uint32_t>& pairs);

// Items as they were added to a set: of equal ones, the first stays.
Result<void> merge_equal_items(const GraphBuilder& graph,
                               Budget& budget,
                               std::vector<std::uint32_t>& items);

}  // namespace weightmap::checkpoint
