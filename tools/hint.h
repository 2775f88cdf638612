// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/error.h"

namespace weightmap::tool {

// What to do about a file that is no weight file, or nothing when that is not certain. Looks into
// the file. What is wrong with a checkpoint, its own error says.
std::string hint_for_weight_file(const Error& error, const std::string& path);

}  // namespace weightmap::tool
