// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "weightmap/result.h"

#include "format/extras_view.h"
#include "format/index_view.h"
#include "support/raw_file.h"

namespace weightmap::tests {

// Every rule of the format, R1 to R28 (of the segments in the file itself), in their order. Each
// part is looked at in a heap block of its own size, so that a sanitizer sees a step outside.
Result<void> check_file(std::span<const std::byte> file);

// The index of a file, and the bytes that it refers to.
struct OpenIndex {
  Bytes bytes;
  format::Header header;
  format::IndexView view;
};
Result<OpenIndex> open_index(std::span<const std::byte> file);

// Calls every accessor for everything in the index; whether all answers are consistent.
bool walk(const format::IndexView& index);

// The same of extras.
bool walk(const format::Extras& extras);

}  // namespace weightmap::tests
