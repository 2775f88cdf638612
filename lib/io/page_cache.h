// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "weightmap/result.h"

#include "io/mapped_file.h"

// What the kernel's page cache has of a file, for all processes.
namespace weightmap::io {

struct CachedBytes {
  std::uint64_t cached = 0;
  // Of those, what a mapping is served with by 2 MiB pages; nothing where the system does not tell.
  std::optional<std::uint64_t> huge;
};

// Looks through a mapping of its own, which takes up the cached pages and no others: cost is that
// of these faults. Memory instead of a file is all there and not huge. Errors: those of MappedFile.
Result<CachedBytes> look_into_cache(const MappedFile& file);

// Asks the kernel to forget the file's pages, once they are on the disk. Pages that any process has
// mapped and touched stay. Error: kIo (what is not yet on the disk cannot be written).
Result<void> drop_from_cache(const MappedFile& file);

}  // namespace weightmap::io
