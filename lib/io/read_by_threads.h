// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "weightmap/result.h"

#include "io/file.h"
#include "io/private_bytes.h"

namespace weightmap::io {

// The whole of a file in memory of this process, page-aligned, read in pieces by several threads:
// over a network one stream seldom fills the line. `go_on` is told, on the calling thread, how many
// bytes are there, before the first and after the last, too; false stops the work.
// Errors: kIo (there is not so much memory, among others), kCorrupt (cut short), kCancelled.
Result<PrivateBytes> read_by_threads(const File& file,
                                     const std::function<bool(std::uint64_t done_bytes)>& go_on);

}  // namespace weightmap::io
