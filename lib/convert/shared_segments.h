// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "convert/plan.h"
#include "convert/source.h"
#include "format/segment_digest.h"
#include "runtime/target_file.h"
#include "runtime/write_blob.h"

namespace weightmap::convert {

// A segment of a base that has the very bytes of one that is planned.
struct SharedSegment {
  std::uint32_t number = 0;  // in the base
  format::SegmentDigester::Digests digests;
};

// For each segment of the plan one of the base with the same size and bytes that begins as aligned
// as the plan wants it, if there is any: looked for under its tensors' names, then by its digest,
// and compared byte by byte in any case. No segment of the base stands for two, which are apart.
// Reads what is planned once where the first of its names has it; else once more for its digest,
// and for each other candidate, of which four by name and four by digest are tried, as far as that
// is equal. By threads_for(all of it, jobs) threads (io/share_work.h); memory is 4 MiB a thread
// beside that of its bytes, and some bytes a segment. Tells progress of what was found.
// Errors: kIo, kCorrupt, kCancelled.
Result<std::vector<std::optional<SharedSegment>>> find_shared_segments(
    const WeightFile& base,
    const Source& source,
    const Plan& plan,
    const MakeBlobSource& make_bytes,
    unsigned jobs,
    ProgressTeller& progress);

}  // namespace weightmap::convert
