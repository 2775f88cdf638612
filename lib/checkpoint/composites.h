// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"

namespace weightmap::checkpoint {

// Whether the parts of a composite go together: as many as its kind has, with the dtypes and the
// ranks that FORMAT.md 3 names, and as long as each other where they must be. What the elements of
// the parts say (an index that is too large) is not looked at. Error: kCorrupt.
// REQUIRES: the parts are tensors of the checkpoint.
Result<void> check_composite(const Checkpoint& checkpoint, const Composite& composite);

// The part of that role. REQUIRES: the composite has it.
const Tensor& part_of(const Checkpoint& checkpoint,
                      const Composite& composite,
                      std::string_view role);

}  // namespace weightmap::checkpoint
