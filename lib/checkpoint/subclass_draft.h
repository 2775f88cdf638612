// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "weightmap/dtype.h"

#include "checkpoint/globals.h"
#include "checkpoint/pickle.h"

// The calls by which PyTorch makes tensors of subclasses again: `_rebuild_from_type_v2(function,
// type, arguments, state)`. The class is only a name here.
namespace weightmap::checkpoint {

struct SubclassCall {
  GlobalName function;  // what makes the tensor before it is one of its class; modern, as the next
  GlobalName type;
  std::span<const ValueId> arguments;  // of the function
  ValueId type_value = kNoValue;       // of the pickle, as the state is
  ValueId state = kNoValue;

  // Whether the function makes a tensor over a storage: the class only adds to it.
  bool is_strided() const;
  // Whether it makes one without a storage, whose state has the tensors that it stands for.
  bool is_wrapper() const;
  // Whether it makes such a one of PyTorch's own: a nested tensor (jagged.h).
  bool is_jagged() const;
};

// Nothing: another call, or one that torch.save does not write.
std::optional<SubclassCall> subclass_call(const Pickle& pickle, const PickleCall& call);

// What makes a wrapper.
struct WrapperDraft {
  Dtype dtype = Dtype::kFloat32;
  std::span<const ValueId> shape;    // of the pickle
  std::span<const ValueId> strides;  // of the pickle
  std::int64_t offset = 0;           // in elements
  bool requires_grad = false;
};

// Nothing: another function, or a wrapper that a composite cannot say (its layout is not strided,
// it has no place among real tensors).
std::optional<WrapperDraft> read_wrapper(const Pickle& pickle, const SubclassCall& call);

}  // namespace weightmap::checkpoint
