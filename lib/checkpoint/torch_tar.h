// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// The tar archive that torch.save wrote in 0.1: members `storages`, `tensors` and `pickle`. As
// open_checkpoint, for a file that begins as a tar archive; kWrongKind: another tar archive.
Result<Checkpoint> read_torch_tar(io::File file, const ReadOptions& options);

}  // namespace weightmap::checkpoint
