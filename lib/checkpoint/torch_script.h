// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/torch_archive.h"

namespace weightmap::checkpoint {

// What torch.jit.save writes: a zip archive with the tree of module objects, code, and constants.
bool is_torch_script(const TorchArchive& archive);

// The tree of objects stays as opaque records: the state of each holds its tensors and submodules,
// so that names come out as state_dict() has them. Parameters and buffers are told apart by the
// code of their module's class. The code's constants, among them all weights of a frozen module,
// become `CONSTANTS` of the outermost module: c0, c1 ... as the code calls them.
// As open_checkpoint. REQUIRES: is_torch_script; there is a record `data.pkl`.
Result<Checkpoint> read_torch_script(TorchArchive archive, const ReadOptions& options);

}  // namespace weightmap::checkpoint
