// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "format/index_view.h"
#include "format/segment_digest.h"

namespace weightmap::format {

// The extras, taken out of their bytes: nothing here refers to them.
struct Extras {
  std::vector<Digest> segment_digests;  // one a segment, or none at all
  std::vector<Digest> chunk_digests;    // of the segments longer than kChunkBytes, in their order
  ValueGraph values;
  std::string producer;
};

// Checks R23 to R26; messages begin with "extras: ". Errors: kCorrupt, naming the rule.
// REQUIRES: `bytes` is 8-byte aligned, private to this process and of the header's
// extras.size_bytes.
Result<Extras> read_extras(std::span<const std::byte> bytes, const IndexView& index);

// The digest recorded for a segment, or nothing. REQUIRES: segment is one of the index.
std::optional<Digest> recorded_digest(const Extras& extras, std::uint32_t segment);

}  // namespace weightmap::format
