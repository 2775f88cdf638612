// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

#include "checkpoint/pickle.h"

// What the `.metadata` of a torch.distributed.checkpoint says: the classes of
// torch/distributed/checkpoint/metadata.py and filesystem.py of 2.13, as inert values.
namespace weightmap::checkpoint {

// A part of a .distcp file that holds one object as torch.save writes it.
struct DcpItem {
  std::uint32_t file = 0;  // in DcpMetadata::files
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

struct DcpChunk {
  std::vector<std::int64_t> offsets;  // in the tensor
  std::vector<std::int64_t> sizes;
  DcpItem item;
};

struct DcpEntry {
  std::string_view name;  // the flat, dotted one
  bool is_tensor = false;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<DcpChunk> chunks;   // of a tensor; those without elements are left out
  DcpItem item;                   // of another value
  std::span<const ValueId> path;  // kStr and kInt from 0 on: where it stood; empty: not told
};

// Texts belong to the pickle.
struct DcpMetadata {
  std::vector<std::string_view> files;  // in order of first mention, each once
  std::vector<DcpEntry> entries;        // in the order of the pickle, names are unique
};

// Errors: kCorrupt, kUnsupported (a transform such as zstd ...), naming the entry.
// Memory and steps: in proportion to the pickle's bytes, whatever it repeats.
Result<DcpMetadata> read_dcp_metadata(const Pickle& pickle);

}  // namespace weightmap::checkpoint
