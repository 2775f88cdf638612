// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/graph_builder.h"
#include "checkpoint/jagged.h"
#include "checkpoint/pickle.h"
#include "checkpoint/subclass_draft.h"
#include "checkpoint/tensor_draft.h"
#include "checkpoint/torch_storages.h"

namespace weightmap::checkpoint {

struct TorchTensor {
  ValueKind kind = ValueKind::kTensor;  // or kComposite
  std::uint32_t number = 0;             // in Checkpoint::tensors, or in its composites
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

  // Adds the tensor or composite that a call makes: one more for each time it is asked.
  // Errors: kCorrupt, kUnsupported, those of FindStorage. REQUIRES: makes_tensor(its callable)
  // (tensor_draft.h).
  Result<TorchTensor> read(const PickleCall& call);

  // Adds the tensor over a storage that becomes one of a subclass. Errors as above.
  // REQUIRES: call.is_strided().
  Result<std::uint32_t> read_strided(const SubclassCall& call);

  // Adds the composite that such a tensor, or a wrapper, is; a wrapper's parts are the tensors of
  // its state, which the composite does not list. Both return its number in Checkpoint::composites.
  std::uint32_t add_strided(const SubclassCall& call, std::uint32_t tensor);
  Result<std::uint32_t> add_wrapper(const SubclassCall& call, const WrapperDraft& draft);

  // The same for a nested tensor. Nothing: its offsets are no list that says how many it has.
  std::optional<std::uint32_t> add_jagged(const JaggedDraft& draft);

 private:
  Result<std::uint32_t> add_tensor(const TensorDraft& draft);
  Result<TorchTensor> add_composite(const TensorDraft& draft);
  Result<std::uint32_t> add_part(ValueId value);
  std::uint32_t add(Composite composite);
  Result<void> add_sizes(std::span<const ValueId> ids, std::vector<std::int64_t>& sizes);
  Result<void> complete(Composite& composite) const;

  const Pickle& pickle_;
  Budget& budget_;
  Checkpoint& into_;
  TorchStorages storages_;
};

}  // namespace weightmap::checkpoint
