// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

#include "format/header.h"
#include "weightmap_generated.h"

namespace weightmap::format {

inline constexpr std::uint32_t kNoSegment = 0xFFFFFFFFU;
inline constexpr std::uint32_t kNoEntry = 0xFFFFFFFFU;  // there are fewer (FORMAT.md 6)
inline constexpr std::uint8_t kMaxRank = 64;
inline constexpr std::size_t kMaxNameBytes = 65535;

// FORMAT.md 3, flags of an entry.
enum EntryFlag : std::uint16_t {
  kParameter = 1,
  kBuffer = 2,
  kRequiresGrad = 4,
  kConj = 8,
  kNeg = 16,
  kPart = 32,
  kMeta = 64,
  kUninitialized = 128,
};
inline constexpr std::uint16_t kKnownEntryFlags = 255;

// What entries use, whichever of them.
struct EntryUses {
  std::uint16_t flags = 0;
  std::uint64_t dtypes = 0;  // bit n: the dtype n
  std::uint32_t parts = 0;   // entries with the flag part

  void add(std::span<const fb::Entry> entries);
};

// The index as spans into its bytes, which the caller keeps. After read_index has succeeded no
// accessor can leave them. A value; safe to read from several threads.
struct IndexView {
  const fb::Index* root = nullptr;
  std::span<const fb::Entry> entries;
  std::string_view names;
  std::span<const std::int64_t> dims;
  std::span<const fb::Order> order;
  std::span<const std::uint32_t> buckets;
  std::span<const fb::Segment> segments;
  std::span<const fb::Module> modules;
  std::string_view module_paths;

  std::string_view name(const fb::Entry& entry) const {
    return names.substr(entry.name_begin(), entry.name_size());
  }
  std::span<const std::int64_t> shape(const fb::Entry& entry) const {
    return dims.subspan(entry.shape_begin(), entry.rank());
  }
  std::span<const std::int64_t> strides(const fb::Entry& entry) const {
    return dims.subspan(entry.strides_begin(), entry.rank());
  }
  std::string_view path(const fb::Module& module) const {
    return module_paths.substr(module.path_begin(), module.path_size());
  }

  // The number of the entry of that name. A hash and one bucket, whatever the number of entries.
  std::optional<std::uint32_t> find(std::string_view name) const;

  // The same for many names at once, kNoEntry where there is none: for names in no order, whose
  // memory is asked for before it is looked at. REQUIRES: as many numbers as wanted names.
  void find_all(std::span<const std::string_view> wanted, std::span<std::uint32_t> numbers) const;

  // How many of the segments, from the first on, lie in the weight file itself. REQUIRES: root.
  std::uint32_t own_segment_count() const;

  // The number of the data file that a segment lies in. REQUIRES: root; a segment of the index.
  std::uint32_t data_file_of(std::uint32_t segment) const;

  // The bytes of its data file from the tensor's first element through its last one as strides
  // place them: inside its segment. Nothing for a tensor without a segment.
  std::optional<Range> place(const fb::Entry& entry) const;
};

// Checks R8 to R21 in their order; errors are kCorrupt and name the rule, as in
// "index: R13: the name of tensor 4 ...".
// REQUIRES: `bytes` is 8-byte aligned, private to this process and of header.index.size_bytes;
// `header` comes from read_header.
Result<IndexView> read_index(std::span<const std::byte> bytes, const Header& header);

// The view of an index that is a sound FlatBuffer (R9) but not checked beyond that.
IndexView view_index(const fb::Index& root);

// The bits of required_features that name what the index uses (FORMAT.md 2.2), given what its
// entries use.
std::uint64_t used_features(const IndexView& index, const EntryUses& uses);

// What FORMAT.md 3 defines; costs a pass over the index. REQUIRES: root.
Digest structure_digest_of(const IndexView& index);

// R22, for whoever is about to rely on the stored structure digest. Errors: kCorrupt.
Result<void> check_structure_digest(const IndexView& index);

// How many upper bits of a hash choose a bucket when there are so many entries.
unsigned bucket_bits(std::uint64_t entries);

}  // namespace weightmap::format
