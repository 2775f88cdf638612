// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/result.h"

#include "convert/plan.h"

namespace weightmap::convert {

struct Selected {
  std::vector<RuleUse> rules;  // in the order: include, exclude, strip_prefix, rename
  std::uint32_t left_out_tensors = 0;
  std::uint32_t left_out_values = 0;  // numbers, strings, objects ... that are no tensors
};

// Leaves the tensors that the rules choose, under their new names, in their order, as one ordered
// dict with the versions of their modules. Does nothing without rules. Composites go with their
// parts. Segments stay; some may be unused afterwards (trim.h).
// Errors: kInvalidArgument: a rule that touches nothing, a rename with more `*` than its pattern,
// two tensors of one name, no tensor left.
Result<Selected> select_tensors(Plan& plan, const SelectionOptions& options);

}  // namespace weightmap::convert
