// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"

namespace weightmap::checkpoint {

// Where the parts of a checkpoint stand in the one that they were added to.
struct MergedPart {
  std::uint32_t first_tensor = 0;
  std::uint32_t first_node = 0;  // node n of the part is now first_node + n
};

// Where the only file of a part stands in the whole.
struct PartPlace {
  std::uint32_t file = 0;          // in Checkpoint::files
  std::uint64_t offset_bytes = 0;  // of the part's first byte
  std::string_view name;           // where its file has several parts: tells whose its records are
};

// Adds the storages, tensors, composites and values of a checkpoint that is one file, or a slice of
// one, to another, in their order. The part's root becomes a node like any other.
// Errors: kUnsupported when both together have more of anything than a checkpoint can count.
Result<MergedPart> merge_part(const Checkpoint& part, const PartPlace& place, Checkpoint& into);

}  // namespace weightmap::checkpoint
