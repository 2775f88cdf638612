// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/graph_builder.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_storages.h"

namespace weightmap::checkpoint {

struct TorchTensor {
  std::uint32_t number = 0;       // in Checkpoint::tensors
  ValueId attributes = kNoValue;  // a kDict that is not empty: Python attributes of the tensor
};

// Reads tensors into a checkpoint, each of which lies inside its storage. Refers to everything it
// is given.
class TorchTensors {
 public:
  TorchTensors(const Pickle& pickle,
               const FindStorage& find_storage,
               Budget& budget,
               Checkpoint& into);

  // Adds the tensor that a call makes: one more for each time it is asked.
  // Errors: kCorrupt, kUnsupported, those of FindStorage. REQUIRES: makes_tensor(its callable)
  // (tensor_draft.h).
  Result<TorchTensor> read(const PickleCall& call);

 private:
  const Pickle& pickle_;
  Budget& budget_;
  Checkpoint& into_;
  TorchStorages storages_;
};

}  // namespace weightmap::checkpoint
