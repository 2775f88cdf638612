// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "format/content.h"
#include "support/raw_file.h"

namespace weightmap::tests {

// What a weight file says, with the bytes of its segments.
struct WholeContent {
  format::Content content;  // segment_sizes_bytes may be left out
  std::vector<Bytes> segments;
};

// The whole file by the library's own writer, as a converter would write it.
Bytes encode_file(WholeContent whole);

// The file of FORMAT.md 9: tests/data/minimal.wmap.
WholeContent minimal_content();

// All dtypes and flags, views, ties, tensors without elements, dimensions or values, nodes of all
// kinds: tests/data/features.wmap.
WholeContent features_content();

// Composites of every kind, with and without numbers: tests/data/composites.wmap.
WholeContent composites_content();

}  // namespace weightmap::tests
