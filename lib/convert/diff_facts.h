// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weightmap/diff.h"

#include "convert/diff_match.h"

namespace weightmap::convert {

// Whether both are stored conjugated or not, negated or not.
bool have_one_sign(const TensorView& first, const TensorView& second);

// Whether what is stored conjugated or negated on one side only can be turned into what it stands
// for.
bool can_be_resolved(const TensorView& first, const TensorView& second);

// What is said of a match beside its elements, and is not the same on both sides.
std::vector<FactDifference> compare_facts(const DiffMatch& match, bool only_tensors);

std::vector<ModuleDifference> compare_modules(const DiffSide& first, const DiffSide& second);

}  // namespace weightmap::convert
