// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "format/content.h"

// What a weight file made from a checkpoint will say, and where its bytes come from.
namespace weightmap::convert {

struct Plan {
  format::Content content;
  std::vector<std::uint32_t> segment_storages;  // by segment: the checkpoint's storage
  std::vector<std::string> opaque_classes;      // ascending, each once
};

// One entry a name, one segment a storage that a named tensor lies in, whole, in the order of first
// use, so that ties and views stay what they are. The object graph below the root comes along.
// Errors: kUnsupported, kInvalidArgument (root, alignment).
Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options);

}  // namespace weightmap::convert
