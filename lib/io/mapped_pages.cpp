// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_pages.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace weightmap::io {
namespace {

// "FilePmdMapped:      2048 kB"
std::optional<std::uint64_t> bytes_of_line(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(std::min(line.find_first_of("0123456789"), line.size()));
  std::uint64_t kib = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), kib);
  return parsed.ec == std::errc{} ? std::optional(kib << 10U) : std::nullopt;
}

// "7f0000000000-7f0040000000 r--s 00000000 fe:00 1234 /model.wmap"
std::optional<std::uintptr_t> begin_of_area(std::string_view line) {
  std::uintptr_t begin = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
  const bool is_area =
      parsed.ec == std::errc{} && parsed.ptr != line.data() + line.size() && *parsed.ptr == '-';
  return is_area ? std::optional(begin) : std::nullopt;
}

void add(std::optional<std::uint64_t>& sum, std::optional<std::uint64_t> bytes) {
  if (bytes) sum = sum.value_or(0) + *bytes;
}

}  // namespace

MappedPages mapped_pages(std::span<const std::byte> bytes) {
  std::ifstream areas("/proc/self/smaps");
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
  MappedPages found;
  bool is_inside = false;
  for (std::string line; std::getline(areas, line);) {
    if (const auto begin = begin_of_area(line)) {
      is_inside = *begin >= first && *begin < first + bytes.size();
    }
    if (!is_inside) continue;
    add(found.resident_bytes, bytes_of_line(line, "Rss:"));
    for (const std::string_view name : {"FilePmdMapped:", "ShmemPmdMapped:", "AnonHugePages:"})
      add(found.huge_bytes, bytes_of_line(line, name));
  }
  return found;
}

}  // namespace weightmap::io
