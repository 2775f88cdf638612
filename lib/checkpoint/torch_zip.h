// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// The zip archive that torch.save has written since 1.6, or TorchScript's. As open_checkpoint, for
// a file that is a zip archive; kWrongKind and kUnsupported name the other archives that look like
// it.
Result<Checkpoint> read_torch_zip(io::File file, const ReadOptions& options);

}  // namespace weightmap::checkpoint
