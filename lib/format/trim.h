// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "format/content.h"

namespace weightmap::format {

struct KeptSegment {
  std::uint32_t segment = 0;  // as it was numbered
  Range range;                // in that segment
};

// Cuts each segment to the bytes from the first to the last that its tensors refer to, and leaves
// out segments that none refers to. Tensors that shared bytes still do, at the same distances.
// Returns what each segment that is left was. REQUIRES: the content has no data files.
std::vector<KeptSegment> trim_segments(Content& content);

// Leaves out only the segments that no tensor names, and returns which are left.
std::vector<std::uint32_t> drop_unused_segments(Content& content);

}  // namespace weightmap::format
