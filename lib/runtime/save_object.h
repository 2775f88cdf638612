// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/state_dict.h"
#include "weightmap/value_graph.h"

#include "format/content.h"

namespace weightmap {

// A state dict as torch.save would see it: an OrderedDict with `_metadata`. The numbers of kTensor
// and kComposite nodes are those of `tensors` and `composites`.
struct SaveObject {
  ValueGraph values;
  std::vector<StateTensor> tensors;
  std::vector<std::string> keys;  // by tensor: the key that it was first met under
  std::vector<format::CompositeContent> composites;  // without names
};

// Errors: those of reading the values of a file that a composite lies in.
Result<SaveObject> object_to_save(const StateDict& state_dict);

}  // namespace weightmap
