// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "format/content.h"

namespace weightmap::format {

// The bytes of the extras. Deterministic; their number depends on how many digests there are, not
// on which. Errors: kUnsupported when they would be too many.
Result<std::vector<std::byte>> build_extras(const Content& content, const ContentDigests& digests);

}  // namespace weightmap::format
