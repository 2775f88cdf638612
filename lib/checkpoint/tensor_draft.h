// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_storages.h"

// The calls in a pickle by which PyTorch makes tensors again: `_rebuild_tensor_v2` and its kin.
namespace weightmap::checkpoint {

// Whether a call of this function or class makes a tensor, of a supported kind or not.
// REQUIRES: the name is a modern one (globals.h).
bool makes_tensor(const GlobalName& global);

// A tensor as a call describes it: nothing about its numbers is checked yet.
struct TensorDraft {
  Tensor tensor;                     // without its offset and dims
  std::span<const ValueId> shape;    // of the pickle
  std::span<const ValueId> strides;  // of the pickle
  std::int64_t offset = 0;           // in elements
  std::uint64_t begin_bytes = 0;     // of the part of the storage that offset counts from
  std::uint64_t storage_bytes = 0;   // of that part
  ValueId attributes = kNoValue;     // a kDict that is not empty: Python attributes of the tensor
};

// Errors: kCorrupt, kUnsupported, those of TorchStorages. REQUIRES: makes_tensor(its callable).
Result<TensorDraft> read_tensor_call(const Pickle& pickle,
                                     TorchStorages& storages,
                                     const PickleCall& call);

}  // namespace weightmap::checkpoint
