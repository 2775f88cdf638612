// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "demo/held_out.h"
#include "demo/memory.h"
#include "demo/worker.h"

namespace weightmap::demo {

// What all workers found, one of each a process.
struct Findings {
  std::uint64_t file_bytes = 0;
  std::vector<Binding> bindings;
  std::vector<Score> scores;
  std::vector<Touched> touched;
  std::vector<MappedMemory> memory;  // while all of them had touched every page
};

// Prints the line with "ok" or "FAILED" behind it; returns `holds`.
bool check(bool holds, const std::string& line);

// Prints the findings for a person. A line that ends in "ok" or "FAILED" is a check; whether all
// hold. The time from open to bound is checked only against a limit. REQUIRES: some process.
bool judge(const Findings& findings, std::optional<int> limit_us);

}  // namespace weightmap::demo
