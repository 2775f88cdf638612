// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

namespace weightmap::convert {

// Which tensors of a TorchScript archive, by number, are in none of its modules but in a list or
// the like, and are but another name of one that is in a module, as an LSTM has its weights: the
// state_dict() of PyTorch has the latter alone. None where modules are shared so often that their
// names would not end.
std::vector<bool> find_other_names(const WeightFile& file, const ValueGraph& values);

}  // namespace weightmap::convert
