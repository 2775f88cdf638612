// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "convert/plan.h"

namespace weightmap::convert {

// Cuts each segment to the bytes from the first to the last that its tensors refer to, and leaves
// out segments that none refers to. Tensors that shared bytes still do, at the same distances.
// Returns how many bytes that leaves out. REQUIRES: no segment is cast yet.
std::uint64_t trim_segments(Plan& plan);

// Leaves out only the segments that no tensor names.
void drop_unused_segments(Plan& plan);

}  // namespace weightmap::convert
