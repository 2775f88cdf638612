// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "checkpoint/checkpoint.h"
#include "format/content.h"

// What a weight file that is made will say, and where its bytes come from.
namespace weightmap::convert {

struct Cast {
  Dtype from = Dtype::kFloat32;
  Dtype to = Dtype::kFloat32;
};

// Where the bytes of a segment come from: a part of one of the source's storages.
struct SegmentSource {
  std::uint32_t storage = 0;
  std::uint64_t begin_bytes = 0;  // in the storage
  std::uint64_t size_bytes = 0;   // of the storage
  std::optional<Cast> cast;       // of the elements that fill it, on their way
};

inline constexpr std::uint32_t kNoNode = 0xFFFFFFFFU;

struct Plan {
  format::Content content;
  std::vector<SegmentSource> segments;  // by segment
  // By composite: its node among content's values; kNoNode where a weight file has none.
  std::vector<std::uint32_t> composite_nodes;
  std::vector<std::string> opaque_classes;  // ascending, each once
};

// What format/object_content.h makes of the checkpoint's object, below the root.
// Errors: kUnsupported, kInvalidArgument (root, alignment).
Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options);

// What the weight file says, its segments in the order in which its tensors name them, which is
// that of files made here: the storages are its segments. Segments that no tensor names are left
// out. Errors: kInvalidArgument (alignment; a root, which a weight file does not have), kIo,
// kCorrupt.
Result<Plan> make_plan(const WeightFile& source, const ConvertOptions& options);

// format/trim.h for a plan. Returns how many bytes that leaves out. REQUIRES: no segment is cast
// yet.
std::uint64_t trim_segments(Plan& plan);
void drop_unused_segments(Plan& plan);

}  // namespace weightmap::convert
