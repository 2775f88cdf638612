// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/composite_draft.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_storages.h"

// The calls in a pickle by which PyTorch makes tensors again: `_rebuild_tensor_v2` and its kin.
namespace weightmap::checkpoint {

// Whether this function or class makes tensors. REQUIRES: the name is a modern one (globals.h).
bool makes_tensor(const GlobalName& global);

// Whether a call makes a tensor of PyTorch's own: not one of a subclass, which is an object like
// any other, though it holds tensors. REQUIRES: makes_tensor(its callable).
bool makes_plain_tensor(const Pickle& pickle, const PickleCall& call);

// A tensor as a call describes it: nothing about its numbers is checked yet.
struct TensorDraft {
  Tensor tensor;                     // without its offset and dims
  std::span<const ValueId> shape;    // of the pickle
  std::span<const ValueId> strides;  // of the pickle
  std::int64_t offset = 0;           // in elements
  std::uint64_t begin_bytes = 0;     // of the part of the storage that offset counts from
  std::uint64_t storage_bytes = 0;   // of that part
  ValueId attributes = kNoValue;     // a kDict that is not empty: Python attributes of the tensor
  // What the tensor is, if it is more than one: of the rest, only flags and shape are then its own,
  // and, if it is quantized, everything else is that of its values.
  std::optional<CompositeDraft> composite;
};

// Errors: kCorrupt, kUnsupported, those of TorchStorages. REQUIRES: makes_tensor(its callable).
Result<TensorDraft> read_tensor_call(const Pickle& pickle,
                                     TorchStorages& storages,
                                     const PickleCall& call);

// The same of a function and its arguments, where the pickle does not call it itself.
Result<TensorDraft> read_tensor_arguments(const Pickle& pickle,
                                          TorchStorages& storages,
                                          const GlobalName& function,
                                          std::span<const ValueId> arguments);

}  // namespace weightmap::checkpoint
