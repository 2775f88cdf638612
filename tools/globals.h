// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "output.h"

namespace weightmap::tool {

// inspect --globals: the classes and functions that a checkpoint names. Returns the exit code.
int show_globals(const std::string& path, Style style);

}  // namespace weightmap::tool
