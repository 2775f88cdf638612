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

// What format/object_content.h makes of the checkpoint's object, below the root.
// Errors: kUnsupported, kInvalidArgument (root, alignment).
Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options);

// format/trim.h for a plan. Returns how many bytes that leaves out. REQUIRES: no segment is cast
// yet.
std::uint64_t trim_segments(Plan& plan);
void drop_unused_segments(Plan& plan);

}  // namespace weightmap::convert
