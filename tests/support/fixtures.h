// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace weightmap::tests {

// The checkpoints of tests/data that are one file each, ascending.
inline std::vector<std::string> all_checkpoints() {
  std::vector<std::string> found;
  for (const char* version : {"torch-1.13", "torch-2.13"}) {
    const std::string directory = WEIGHTMAP_TEST_DATA "/checkpoints/";
    for (const auto& entry : std::filesystem::directory_iterator(directory + version)) {
      if (entry.path().extension() == ".pt") found.push_back(entry.path().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace weightmap::tests
