// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_pages.h"

#include <fcntl.h>
#include <string_view>

#include "io/memory_area.h"
#include "io/read_lines.h"

namespace weightmap::io {

MappedPages mapped_pages(std::span<const std::byte> bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
  AreaBytes found;
  AreaSums sums([&](const MemoryArea& area) {
    return area.begin >= first && area.begin - first < bytes.size() ? &found : nullptr;
  });
  read_lines(AT_FDCWD, "/proc/self/smaps", [&](std::string_view line) { sums.take(line); });
  if (found.mapped == 0) return {};
  MappedPages pages{.resident_bytes = found.rss};
  if (found.huge) pages.huge_bytes = *found.huge + found.anonymous_huge;
  return pages;
}

}  // namespace weightmap::io
