// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "weightmap/weight_file.h"

#include "format/extras_view.h"
#include "format/header.h"
#include "format/index_view.h"
#include "io/mapped_file.h"

namespace weightmap {

// What all handles of one open weight file share. `index` looks into `index_bytes`, a private
// copy: nobody can change it after it was verified.
struct WeightFile::State {
  explicit State(io::MappedFile file) : mapped(std::move(file)) {}

  io::MappedFile mapped;
  format::Header header;
  std::unique_ptr<std::byte[]> index_bytes;
  format::IndexView index;
};

// A part of the file in private memory, 8-byte aligned as FlatBuffers wants it.
Result<std::unique_ptr<std::byte[]>> read_private(const io::MappedFile& file,
                                                  const format::Range& range);

// The extras, verified. Errors: kIo, kCorrupt. Messages begin with the path.
Result<format::Extras> read_file_extras(const WeightFile::State& state);

}  // namespace weightmap
