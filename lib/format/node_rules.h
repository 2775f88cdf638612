// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "format/rules.h"

namespace weightmap::format {

// R26. Errors: kCorrupt. REQUIRES: R24 holds.
Result<void> check_nodes(const ExtrasInput& input);

}  // namespace weightmap::format
