// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/directory.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// Whether a file of this name is taken for an index when its directory is given.
bool is_shard_index_name(std::string_view name);

// A checkpoint in several files with a JSON index, `{"metadata": ..., "weight_map": {name: file}}`,
// as transformers and diffusers write it (*.safetensors.index.json, pytorch_model.bin.index.json).
// As open_checkpoint. `directory` is the one that holds the index; shards are files in it, of any
// kind that is one file, whose root is a dict with a value for each name.
//
// The root is a dict in the order of weight_map; after it, as transformers loads them, come the
// names that a shard has and weight_map does not, shard by shard in order of first mention. The
// index's other fields, `metadata` among them, are attributes of that dict; attributes of the
// shards' roots are in its attribute `shards`, by file.
//
// kCorrupt: no such JSON; a name in weight_map twice, or not in its shard, or also in another one;
// an extra name in two shards; two shard names for one file; a shard whose root is no dict of
// strings. kUnsupported: a text of more than kMaxJsonBytes; a field `shards`. kInvalidArgument: a
// shard's name that is not one path component, or no regular file. Errors of a shard begin with its
// path.
Result<Checkpoint> read_shard_index(io::File index,
                                    const io::Directory& directory,
                                    const ReadOptions& options);

}  // namespace weightmap::checkpoint
