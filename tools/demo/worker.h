// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace weightmap::demo {

// A worker reports first a Binding, then a Score, then a Touched, and after each waits for GoOn.
struct Binding {
  double construct_us = 0;      // making the modules, before the file is opened
  double open_to_bound_us = 0;  // of the first open in this process
  double best_again_us = 0;     // of kRepeats more
  std::uint32_t bound = 0;
  std::uint32_t missing = 0;
  std::uint32_t unexpected = 0;
  std::uint32_t slots_in_mapping = 0;  // whose bytes lie in the mapped file itself
};

struct Touched {
  std::uint64_t pages = 0;
  std::uint64_t sum = 0;  // of one byte of each
};

struct GoOn {};

inline constexpr int kRepeats = 20;

// A worker's whole life: binds, classifies, touches every page, and stays until the parent hangs
// up, so that all processes hold the file at the same time. `folder` is tests/data/digits.
// The exit code; a failure is told on standard error.
int run_worker(const std::string& weight_file, const std::string& folder);

}  // namespace weightmap::demo
