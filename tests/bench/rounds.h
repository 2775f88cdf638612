// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "contestant.h"

namespace weightmap::bench {

// Runs every contestant once a round, each round beginning with another one, and prints a line of
// JSON for each: {"benchmark", "contestant", "role", "unit", "samples"}. A sample is the mean time
// of as many runs as take a few milliseconds, in microseconds, or, when a run is `per` things, in
// nanoseconds for one of them.
//
// Before each sample its file is read whole (the kernel of some machines drops it from the cache
// while nobody looks) and a block of memory is touched (virtual machines give idle memory back to
// their host, and it costs to take it again).
void run_rounds(const std::string& benchmark,
                const std::vector<Contestant>& contestants,
                int rounds,
                std::size_t per = 0);

}  // namespace weightmap::bench
