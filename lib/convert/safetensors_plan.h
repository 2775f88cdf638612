// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weightmap/export.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

namespace weightmap::convert {

// What of a weight file goes into a safetensors file.
struct SafetensorsPlan {
  std::vector<std::uint32_t> tensors;  // their numbers, as the reference library sorts them
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<std::string> dropped;
};

// Errors: kUnsupported, by name, for what the format cannot say and no option resolves.
Result<SafetensorsPlan> plan_safetensors(const WeightFile& file,
                                         const ValueGraph& values,
                                         const SafetensorsOptions& options);

}  // namespace weightmap::convert
