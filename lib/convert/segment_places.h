// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"

#include "convert/plan.h"
#include "format/content.h"
#include "io/file.h"

// Segments that are not in the weight file but in files beside it.
namespace weightmap::convert {

// Where a segment stands in a file beside the weight file.
struct SegmentPlace {
  std::uint32_t file = 0;  // in a list of data files
  std::uint64_t offset_bytes = 0;
};

// Makes those own segments of the plan that have a place ranges of these data files, which follow
// those that there are: first come the segments that stay its own, as they stood, then file by
// file, ascending. Files in which no segment stands are left out, the others get the alignment that
// all their segments have. Returns what number each segment had. REQUIRES: places are as many as
// the segments of the weight file itself and do not overlap.
std::vector<std::uint32_t> place_segments(Plan& plan,
                                          const std::vector<std::optional<SegmentPlace>>& places,
                                          std::vector<format::DataFileContent> files);

// The target of an index that refers to data files: readers look for them in the directory of the
// path that they open, which must be the one that the file itself is written to behind all links.
// Errors: kInvalidArgument, kNotFound, kIo. Messages begin with the target, or its directory.
Result<void> check_can_refer(const std::string& target);

// The same, and the file is there, under its name, which an index can hold. Errors: as above.
Result<void> check_is_beside(const io::File& file, const std::string& target);

}  // namespace weightmap::convert
