// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "weightmap/module.h"

#include "modules/recorded.h"

namespace weightmap::tests {

// What hooks and replaced steps noted, in the order of events.
using Log = std::vector<std::string>;

// Registers what a case has for a module: a list of [name, arguments ...]. hooks.py has the same in
// Python, by the same names. The log outlives the module.
void register_hooks(Module& module, const Json& hooks, Log& log);

}  // namespace weightmap::tests
