// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/directory.h"
#include "io/file.h"

namespace weightmap::checkpoint {

inline constexpr std::string_view kDistributedMetadataName = ".metadata";

// What torch.distributed.checkpoint writes: a directory with `.metadata`, a pickle, and .distcp
// files whose parts are checkpoints of their own. As open_checkpoint.
//
// Values stand where planner_data says that they stood: dicts with strings as keys, and lists;
// those without a path, or with one that does not spell their name, stand under their name. A
// tensor in one piece is a plain range, with the strides it was saved with; one in several is
// row-major, its storage Packing::kChunked.
//
// The classes of `.metadata` are those that torch.load would not take: strict_globals is for the
// parts only. (builtins.getattr, by which Python 3.11 and others pickle an enum, is taken.)
// kCorrupt: no such metadata; a tensor whose chunks leave a hole, overlap or lie outside of it; a
// chunk of another shape or dtype than the metadata say; parts of a file that overlap or end behind
// it. kUnsupported: a transform (compression), a chunk that is not stored plainly, a quantized
// dtype. kInvalidArgument: a file's name that is not one path component, or no regular file.
Result<Checkpoint> read_distributed(io::File metadata,
                                    const io::Directory& directory,
                                    const ReadOptions& options);

}  // namespace weightmap::checkpoint
