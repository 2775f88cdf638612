// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "io/file.h"
#include "io/read_ahead.h"

namespace weightmap::checkpoint {

// A member of a zip archive as its central directory tells it.
struct ZipRecord {
  std::string_view name;  // belongs to the archive
  std::uint64_t header_offset_bytes = 0;
  std::uint64_t stored_bytes = 0;  // in the archive
  std::uint64_t size_bytes = 0;    // unpacked
  std::uint32_t crc32 = 0;         // of what is unpacked
  std::uint16_t flags = 0;
  std::uint16_t method = 0;  // 0 stored, 8 deflated

  bool is_encrypted() const { return (flags & 1U) != 0; }
  bool is_deflated() const { return method == kDeflatedMethod; }
  // PyTorch writes 0 when torch.serialization.set_crc32_options(False) is in force.
  bool has_crc() const { return crc32 != 0; }

  static constexpr std::uint16_t kDeflatedMethod = 8;
};

// The directory of a zip archive, ZIP64 included, held in memory (at most kMaxDirectoryBytes and
// a constant factor). Local headers are trusted for their length only. Movable; safe for reading
// from several threads.
class ZipArchive {
 public:
  static constexpr std::uint64_t kMaxDirectoryBytes = std::uint64_t{256} << 20U;

  // Messages begin with the path. Errors: kIo; kCorrupt (the file is cut short, counts or places
  // that lie, two records of one name ...); kUnsupported (several disks, too long a directory).
  static Result<ZipArchive> read(const io::File& file);

  std::span<const ZipRecord> records() const { return records_; }  // in the directory's order

  // Null: no such record. The case of ASCII letters matters only where several names differ in
  // nothing else: so PyTorch (miniz) has it. Of several others the first by its bytes.
  const ZipRecord* find(std::string_view name) const;

  // Where the stored bytes of a record of this archive begin, by its local header; they all lie
  // before the directory, and may be what the record is said to unpack to. Messages begin with the
  // path. Errors: kIo, kCorrupt, and kUnsupported for what is encrypted, or packed but not
  // deflated.
  Result<std::uint64_t> data_offset(const io::File& file,
                                    const ZipRecord& record,
                                    io::ReadAhead& ahead) const;

 private:
  struct NamePlace {
    std::uint64_t hash;
    std::uint32_t record;
  };

  std::string_view name_of(const NamePlace& place) const { return records_[place.record].name; }
  Result<void> read_records(const io::File& file, std::uint64_t count);
  Result<void> sort_names(const io::File& file);

  std::uint64_t directory_offset_bytes_ = 0;
  std::vector<std::byte> directory_;
  std::vector<ZipRecord> records_;
  std::vector<NamePlace> by_name_;  // by hash of the small letters, small letters, name
};

}  // namespace weightmap::checkpoint
