// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

// Four processes classify digits while a better checkpoint is published.
namespace weightmap::demo {

// One pass of a worker over all held-out images, each by the net that was current when its turn
// came.
struct Pass {
  std::uint32_t switched_at = 0;  // the first image of the second generation; how many, if none
  std::uint32_t right = 0;
  std::uint32_t strays = 0;  // images whose net was neither the generation of the one before nor
                             // the next one
};

// Makes a worse checkpoint of `weight_file`, serves that, publishes the other, and checks that each
// answer of each worker is one of the two. The exit code. `folder` is tests/data/digits.
int run_publishing(const std::string& weight_file, const std::string& folder);

// A worker's whole life: a pass for each GoOn.
int run_following_worker(const std::string& weight_file, const std::string& folder);

}  // namespace weightmap::demo
