// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

#include "convert/export_selection.h"

namespace weightmap::convert {

struct TorchPickle {
  std::string bytes;
  // What the record `data/N` holds: a segment, whole, or nothing.
  std::vector<std::optional<std::uint32_t>> storages;
  std::uint32_t tensor_count = 0;
};

// The object as torch.save of 2.13 pickles it. Errors: kUnsupported, naming the tensor or value;
// kUnsafe for a class or function that only an attack names.
Result<TorchPickle> pickle_values(const WeightFile& file,
                                  const ValueGraph& values,
                                  const Selection& selection);

}  // namespace weightmap::convert
