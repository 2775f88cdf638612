// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/dtype.h"
#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "format/content.h"

// What a weight file made from a checkpoint will say, and where its bytes come from.
namespace weightmap::convert {

struct Cast {
  Dtype from = Dtype::kFloat32;
  Dtype to = Dtype::kFloat32;
};

// Where the bytes of a segment come from: a part of one of the checkpoint's storages.
struct SegmentSource {
  std::uint32_t storage = 0;
  std::uint64_t begin_bytes = 0;  // in the storage
  std::uint64_t size_bytes = 0;   // of the storage
  std::optional<Cast> cast;       // of the elements that fill it, on their way
};

struct Plan {
  format::Content content;
  std::vector<SegmentSource> segments;         // by segment
  std::vector<std::uint32_t> composite_nodes;  // by composite: its node among content's values
  std::vector<std::string> opaque_classes;     // ascending, each once
};

// One entry a name, one segment a storage that a named tensor lies in, whole, in the order of first
// use, so that ties and views stay what they are. A composite is one name; its parts are entries
// `<name>.<role>`, with a `_` more for as long as that is another's name. The object graph below
// the root comes along.
// Errors: kUnsupported, kInvalidArgument (root, alignment).
Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options);

}  // namespace weightmap::convert
