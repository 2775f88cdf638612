// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// The stream that torch.save wrote from 0.2 to 1.5, and still writes with
// `_use_new_zipfile_serialization=False`. As open_checkpoint, for a file that begins as one. What
// follows the last storage is not looked at: several objects may stand in one file, and torch.load
// takes the first.
Result<Checkpoint> read_legacy_stream(io::File file, const ReadOptions& options);

}  // namespace weightmap::checkpoint
