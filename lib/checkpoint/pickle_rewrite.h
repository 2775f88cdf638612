// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// Lets every value that refers to value i, and the root, refer to `stand_ins[i]` instead.
// REQUIRES: one stand-in for each value; a value of the pickle.
void redirect(Pickle& pickle, std::span<const ValueId> stand_ins);

// Each value standing in for itself.
std::vector<ValueId> no_stand_ins(const Pickle& pickle);

}  // namespace weightmap::checkpoint
