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
#include "runtime/opened_file.h"
#include "runtime/prefault_work.h"

namespace weightmap {

inline bool is_in(std::span<const std::byte> bytes, const std::byte* data) {
  return !bytes.empty() && data >= bytes.data() && data <= bytes.data() + bytes.size();
}

// What all handles of one open weight file share. `index` looks into `index_bytes`, a private
// copy: nobody can change it after it was verified.
struct WeightFile::State {
  explicit State(OpenedFile file) : own(std::move(file)) {}

  const std::string& path() const { return own.path; }

  const OpenedFile& opened(std::uint32_t data_file) const {
    return data_file == 0 ? own : siblings[data_file - 1];
  }

  // A data file's bytes; null where it is not open.
  const io::MappedFile* file(std::uint32_t data_file) const {
    return opened(data_file).mapped.get();
  }

  const io::MappedFile* file_of(std::uint32_t segment) const {
    return siblings.empty() ? own.mapped.get() : file(index.data_file_of(segment));
  }

  // The weight file itself, then those beside it that are open.
  std::vector<const OpenedFile*> open_files() const;

  // Whether the address lies in one of the mappings. They are one a data file.
  bool maps(const std::byte* data) const {
    const auto has = [data](const io::MappedFile* mapped) {
      return mapped != nullptr && is_in(mapped->bytes(), data);
    };
    return has(own.mapped.get()) || std::ranges::any_of(siblings, [&](const OpenedFile& sibling) {
             return has(sibling.mapped.get());
           });
  }

  // A tensor's first element; null where it has no bytes, or none that can be read.
  const std::byte* data_of(const fb::Entry& entry) const {
    if (entry.segment() == format::kNoSegment) return nullptr;
    const std::byte* begin = own_data;
    if (!siblings.empty()) {
      const io::MappedFile* const file = file_of(entry.segment());
      if (file == nullptr) return nullptr;
      begin = file->bytes().data();
    }
    return begin + index.segments[entry.segment()].offset_bytes() + entry.offset_bytes();
  }

  // The structure digest, which is checked when it is first asked for (R22). Errors: kCorrupt.
  Result<Digest> checked_structure() const;

  // The segment that the address lies in; empty where it is none.
  std::span<const std::byte> segment_around(const std::byte* data) const;

  OpenedFile own;
  const std::byte* own_data = nullptr;  // its first byte, at hand for who asks for every tensor
  std::vector<OpenedFile> siblings;     // data files 1 and up
  OpenOptions options;
  format::Header header;
  io::PrivateBytes index_bytes;
  format::IndexView index;
  mutable std::atomic<bool> is_structure_checked{false};
  std::unique_ptr<PrefaultWork> prefault;  // last: its thread uses all of the above
};

inline const WeightFile::State& state_of(const WeightFile& file) {
  return *file.state_;
}

// A part of the file in private memory.
Result<io::PrivateBytes> read_private(const io::MappedFile& file, const format::Range& range);

// The extras, verified. Errors: kIo, kCorrupt. Messages begin with the path.
Result<format::Extras> read_file_extras(const WeightFile::State& state);

}  // namespace weightmap
