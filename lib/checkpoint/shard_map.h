// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

namespace weightmap::checkpoint {

// What the JSON index of a sharded checkpoint says.
struct ShardMap {
  struct Entry {
    std::string name;
    std::uint32_t file = 0;  // in `files`
  };

  std::vector<Entry> entries;        // in the order of the text, names are unique
  std::vector<std::string> files;    // in order of first mention, each once
  std::vector<std::uint32_t> extra;  // key, value ...: the other fields, as nodes of the graph
};

// Fields beside weight_map become nodes of `values`, in Python's types.
// Errors: kCorrupt; kWrongKind when it is JSON, but no index. Messages name no file.
Result<ShardMap> parse_shard_map(std::span<const std::byte> text, ValueGraph& values);

}  // namespace weightmap::checkpoint
