// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

namespace weightmap::convert {

// A copy of the object in which an ordered_dict stands for each whole pickled module that no other
// module holds: what its state_dict() would be, without `_metadata`. `told` gets a line for each.
// Modules are known by their state, which has `_parameters`, `_buffers` and `_modules`.
// Errors: kUnsupported for modules that share so many others that their names would not end.
Result<ValueGraph> with_state_dicts(const ValueGraph& values, std::vector<std::string>& told);

}  // namespace weightmap::convert
