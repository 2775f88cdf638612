// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weightmap/weight_file.h"

namespace weightmap {

// Tells each damage which tensors lie in it. REQUIRES: ascending by data file and place, none
// overlaps another.
void name_tensors(const WeightFile& file, std::vector<Damage>& damages);

}  // namespace weightmap
