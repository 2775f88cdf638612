// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_storages.h"

// PyTorch's vocabulary in a decoded pickle: tensors, storages, parameters, OrderedDict and the
// plain types; objects of other classes become opaque nodes. See the top of torch_values.cpp.
namespace weightmap::checkpoint {

// Fills `into`'s tensors, dims and values; `find_storage` fills its storages.
// A tensor node has an attributes child where the tensor has Python attributes. An object made by
// calling what another object returned is an opaque `operator.call` of that and the arguments.
// Errors: kCorrupt, kUnsupported, naming the place: a dotted path where there is one.
// Memory and steps: in proportion to the pickle's bytes, whatever it repeats.
Result<void> read_torch_values(const Pickle& pickle,
                               const FindStorage& find_storage,
                               Checkpoint& into);

}  // namespace weightmap::checkpoint
