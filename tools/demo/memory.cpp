// SPDX-License-Identifier: Apache-2.0
#include "demo/memory.h"

#include <fstream>
#include <sstream>
#include <string_view>

namespace weightmap::demo {
namespace {

// "7f40c2a00000-7f40c2aa4000 r--s 00000000 fe:00 1311   /data/digits.wmap": only the path can
// have a slash. The lines of numbers that follow begin with a word and a colon.
bool begins_mapping(std::string_view line) {
  return line.find('-') < line.find(':');
}

bool is_mapping_of(std::string_view line, std::string_view path) {
  const std::size_t begin = line.find('/');
  return begin != std::string_view::npos && line.substr(begin) == path;
}

void add_number(const std::string& line, MappedMemory& memory) {
  std::istringstream words(line);
  std::string name;
  std::uint64_t kibibytes = 0;
  words >> name >> kibibytes;
  const std::uint64_t bytes = kibibytes * 1024;
  if (name == "Rss:") memory.rss_bytes += bytes;
  if (name == "Pss:") memory.pss_bytes += bytes;
  if (name == "Private_Clean:" || name == "Private_Dirty:") memory.private_bytes += bytes;
}

}  // namespace

MappedMemory mapped_memory(std::istream& smaps, const std::string& path) {
  MappedMemory memory;
  bool wanted = false;
  for (std::string line; std::getline(smaps, line);) {
    if (begins_mapping(line)) {
      wanted = is_mapping_of(line, path);
    } else if (wanted) {
      add_number(line, memory);
    }
  }
  return memory;
}

MappedMemory mapped_memory(pid_t process, const std::string& path) {
  std::ifstream smaps("/proc/" + std::to_string(process) + "/smaps");
  return mapped_memory(smaps, path);
}

}  // namespace weightmap::demo
