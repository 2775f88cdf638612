// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/diagnosis_renaming.h"

namespace weightmap {

// By missing key (in the order of renaming.missing()): the unexpected one that is most like it, or
// Renaming::kNobody. Compared are a few that have its shape, its last component or its module.
std::vector<std::uint32_t> nearest_unexpected(const Renaming& renaming);

}  // namespace weightmap
