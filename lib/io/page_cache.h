// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "weightmap/result.h"

#include "io/mapped_file.h"

// What the kernel's page cache has of a file, for all processes.
namespace weightmap::io {

struct CachedBytes {
  std::uint64_t cached = 0;
  // Of those, what a mapping is served with by 2 MiB pages; nothing where the system does not tell.
  std::optional<std::uint64_t> huge;
};

// A file from front to back, in cells of one size; the last may be shorter.
struct CacheCells {
  std::uint64_t cell_bytes = 0;
  std::vector<CachedBytes> cells;
};

// Looks through a mapping of its own, which takes up one page of each 2 MiB that are there whole
// and none that is not there: cost is that of these faults. At most `most_cells` cells, of whole
// pages, where they are longer of whole 2 MiB. Memory instead of a file is all there and not huge.
// Nothing: the kernel does not tell, since the caller neither owns the file nor may write to it.
// Errors: those of MappedFile. REQUIRES: most_cells is neither 0 nor above kMostCells.
inline constexpr std::size_t kMostCells = 4'096;
Result<std::optional<CacheCells>> look_along_cache(const MappedFile& file, std::size_t most_cells);

// The same of the whole file; where the kernel does not tell, all is there.
Result<CachedBytes> look_into_cache(const MappedFile& file);

// What the kernel counts of a file's pages.
struct CacheCounts {
  std::uint64_t cached = 0;
  std::uint64_t dirty = 0;      // not yet on their way to the disk
  std::uint64_t writeback = 0;  // on their way
  // Was there and had to go, and is remembered; the second: so lately that memory is too small.
  std::uint64_t evicted = 0;
  std::uint64_t recently_evicted = 0;
};

// Touches no page. Nothing: the kernel is older than cachestat(2) (6.5), or does not tell; memory.
std::optional<CacheCounts> count_cached(const MappedFile& file);

// Asks the kernel to forget the file's pages, once they are on the disk. Pages that any process has
// mapped and touched stay. Error: kIo (what is not yet on the disk cannot be written).
Result<void> drop_from_cache(const MappedFile& file);

}  // namespace weightmap::io
