// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <sys/types.h>

namespace weightmap::demo {

// What a process holds of one file that it maps, as the kernel counts it in /proc/PID/smaps.
struct MappedMemory {
  std::uint64_t rss_bytes = 0;      // pages that are there
  std::uint64_t pss_bytes = 0;      // each page divided by the number of processes that map it
  std::uint64_t private_bytes = 0;  // pages that no other process maps
};

// The sum over all mappings of `path`, an absolute path without symbolic links.
MappedMemory mapped_memory(std::istream& smaps, const std::string& path);

// The same of a process that is alive and ours; all zero if it cannot be asked.
MappedMemory mapped_memory(pid_t process, const std::string& path);

}  // namespace weightmap::demo
