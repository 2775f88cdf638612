// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "weightmap/weight_file.h"

#include "format/extras_view.h"
#include "format/header.h"
#include "format/index_view.h"
#include "io/mapped_file.h"
#include "io/private_bytes.h"
#include "runtime/data_files.h"

namespace weightmap {

inline bool is_in(std::span<const std::byte> bytes, const std::byte* data) {
  return !bytes.empty() && data >= bytes.data() && data <= bytes.data() + bytes.size();
}

// What all handles of one open weight file share. `index` looks into `index_bytes`, a private
// copy: nobody can change it after it was verified.
struct WeightFile::State {
  explicit State(io::MappedFile file) : mapped(std::move(file)) {}

  // The mapping of a data file; null where it is not open.
  const io::MappedFile* file(std::uint32_t data_file) const {
    if (data_file == 0) return &mapped;
    const auto& sibling = siblings[data_file - 1].mapped;
    return sibling ? &*sibling : nullptr;
  }

  const io::MappedFile* file_of(std::uint32_t segment) const {
    return siblings.empty() ? &mapped : file(index.data_file_of(segment));
  }

  // Whether the address lies in one of the mappings. They are one a data file.
  bool maps(const std::byte* data) const {
    if (is_in(mapped.bytes(), data)) return true;
    return std::ranges::any_of(siblings, [&](const Sibling& sibling) {
      return sibling.mapped && is_in(sibling.mapped->bytes(), data);
    });
  }

  // A tensor's first element; null where it has no bytes, or none that can be read.
  const std::byte* data_of(const fb::Entry& entry) const {
    if (entry.segment() == format::kNoSegment) return nullptr;
    const io::MappedFile* const file = file_of(entry.segment());
    if (file == nullptr) return nullptr;
    const std::uint64_t begin = index.segments[entry.segment()].offset_bytes();
    return file->bytes().data() + begin + entry.offset_bytes();
  }

  // The structure digest, which is checked when it is first asked for (R22). Errors: kCorrupt.
  Result<Digest> checked_structure() const;

  // The segment that the address lies in; empty where it is none.
  std::span<const std::byte> segment_around(const std::byte* data) const;

  io::MappedFile mapped;
  std::vector<Sibling> siblings;  // data files 1 and up
  format::Header header;
  io::PrivateBytes index_bytes;
  format::IndexView index;
  mutable std::atomic<bool> is_structure_checked{false};
};

inline const WeightFile::State& state_of(const WeightFile& file) {
  return *file.state_;
}

// A part of the file in private memory.
Result<io::PrivateBytes> read_private(const io::MappedFile& file, const format::Range& range);

// The extras, verified. Errors: kIo, kCorrupt. Messages begin with the path.
Result<format::Extras> read_file_extras(const WeightFile::State& state);

}  // namespace weightmap
