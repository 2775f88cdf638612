// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "base/file_kind.h"
#include "checkpoint/checkpoint.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// Judged by its first bytes. Errors: kIo, kCorrupt.
Result<FileKind> sniff(const io::File& file);

// A checkpoint that is one file, of whatever kind: as open_checkpoint. What needs other files
// beside it is refused here.
Result<Checkpoint> read_source_file(io::File file, const ReadOptions& options);

}  // namespace weightmap::checkpoint
