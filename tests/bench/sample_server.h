// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "contestant.h"

namespace weightmap::bench {

// Takes samples for suite.py, which says when and in what order: for each line of standard input,
// the name of a contestant, prints a line of JSON, {"seconds", "first_us"} or {"error"}. A sample
// is the mean time of as many runs as take 30 ms, after a first run, which is told apart: what was
// done before it has emptied the processor's caches. `per` divides both, when a run does so many
// things. Returns at the end of the input.
void serve_samples(const std::vector<Contestant>& contestants, std::size_t per = 1);

}  // namespace weightmap::bench
