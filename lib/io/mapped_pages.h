// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace weightmap::io {

// What this process's page table has of a range of addresses. Nothing: the system does not tell.
struct MappedPages {
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> huge_bytes;  // of those, by pages of 2 MiB
};

// Of whole mappings, those that begin in the range. Reads /proc/self/smaps: cost grows with the
// number of the process's mappings.
MappedPages mapped_pages(std::span<const std::byte> bytes);

}  // namespace weightmap::io
