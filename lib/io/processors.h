// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weightmap::io {

// How many processors this process may run on (sched_getaffinity(2)): at least one.
unsigned usable_processors();

}  // namespace weightmap::io
