// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"

namespace weightmap::checkpoint {

// Gives each storage of a file from a big-endian machine its `swapped_bytes`: the size of the
// elements that tensors see in it, of a complex one's parts. PyTorch swaps by the storage's class,
// which leaves dtypes without a class of their own (uint16, complex32 ...) as they are, and wrong.
// Errors: kUnsupported: tensors see elements of several sizes in one storage.
Result<void> swap_storages(Checkpoint& checkpoint);

}  // namespace weightmap::checkpoint
