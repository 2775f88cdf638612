// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "support/synthetic_model.h"

namespace weightmap::bench {

// The models of the suite by the words of the command line: "experts" with so many tensors, "wide"
// with so many layers, "gpt2" with so many layers (12: 148 tensors, 0.5 GB). Throws for others.
tests::SyntheticModel model_of(std::string_view kind, std::size_t count);

}  // namespace weightmap::bench
