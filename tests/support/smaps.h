// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace weightmap::tests {

// Bytes of this process's mappings of a file that are in its page tables (Rss of /proc/self/smaps).
inline std::uint64_t resident_bytes_of_mapping(const std::string& path) {
  std::ifstream smaps("/proc/self/smaps");
  std::uint64_t resident_kib = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') < line.find(' ')) inside = line.ends_with(path);
    if (inside && line.starts_with("Rss:")) resident_kib += std::stoull(line.substr(4));
  }
  return resident_kib * 1024;
}

}  // namespace weightmap::tests
