// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weightmap/result.h"

#include "convert/plan.h"

namespace weightmap::convert {

// Plans that all float16, bfloat16, float32 and float64 tensors become `to`, with their ties and
// views; parts of composites stay as they are. Returns how many tensors change.
// Errors: kInvalidArgument (`to` is none of these); kUnsupported, naming both, when a tensor that
// would change shares bytes with one of another dtype.
Result<std::uint32_t> cast_floats(Plan& plan, Dtype to);

}  // namespace weightmap::convert
