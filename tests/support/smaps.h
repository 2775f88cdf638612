// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace weightmap::tests {

// Bytes that smaps has under `field` ("Rss:") for a process's mappings of a file.
inline std::uint64_t bytes_of_mapping(const std::string& path,
                                      std::string_view field,
                                      const std::string& process = "self") {
  std::ifstream smaps("/proc/" + process + "/smaps");
  std::uint64_t kib = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') < line.find(' ')) inside = line.ends_with(path);
    if (inside && line.starts_with(field)) kib += std::stoull(line.substr(field.size()));
  }
  return kib * 1024;
}

// Those that are in its page tables.
inline std::uint64_t resident_bytes_of_mapping(const std::string& path) {
  return bytes_of_mapping(path, "Rss:");
}

}  // namespace weightmap::tests
