// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "format/content.h"
#include "format/index_view.h"

namespace weightmap::format {

// The vectors of an index: what does not depend on where the segments will lie. Refers to the
// content that it was collected from.
struct IndexParts {
  std::vector<fb::Entry> entries;
  std::string names;
  std::vector<std::int64_t> dims;
  std::vector<fb::Order> order;
  std::vector<std::uint32_t> buckets;
  std::vector<fb::Module> modules;
  std::string module_paths;
  std::span<const CompositeContent> composites;
  std::span<const DataFileContent> data_files;
};

// Errors: kInvalidArgument, naming the tensor, for what an entry cannot even say (a name that is
// too long, not as many strides as dimensions); kUnsupported for an index that would be too large.
// REQUIRES: the content outlives the result.
Result<IndexParts> collect_index(const Content& content);

// What an index says of the file around it.
struct Surroundings {
  std::span<const Range> segments;  // those in the weight file itself
  std::uint64_t file_size_bytes = 1;
  std::uint32_t alignment_bytes = 0;
  Digest extras_digest;
};

// The bytes of the index. Deterministic; their number does not depend on where segments lie, on the
// file's size (unless it is 0) or on digests.
std::vector<std::byte> build_index(const IndexParts& parts, const Surroundings& around);

}  // namespace weightmap::format
