// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/result.h"

#include "checkpoint/storage_reader.h"
#include "convert/plan.h"
#include "convert/source.h"
#include "format/segment_digest.h"
#include "io/read_ahead.h"
#include "runtime/write_blob.h"

namespace weightmap::convert {

// An error, which names file and record, if CRCs were to be verified and one of these differs.
Result<void> check_crcs(const checkpoint::Checkpoint& source,
                        const ConvertOptions& options,
                        std::span<const checkpoint::CrcMismatch> mismatches);

// As a report has it: the record, and where the source is several files, the name of its own.
std::string mismatch_text(const checkpoint::Checkpoint& source,
                          const checkpoint::CrcMismatch& mismatch);

// Storages that differ from their CRCs. Safe for use from several threads.
class CrcMismatches {
 public:
  void add(std::uint32_t storage);
  std::vector<std::string> texts(const checkpoint::Checkpoint& source) const;  // in its order

 private:
  mutable std::mutex mutex_;  // guards:
  std::set<std::uint32_t> storages_;
};

// The segments' bytes as the plan has them: parts of storages, some of them cast. A storage that is
// read to its end is held against what the source says of it: the digest of a weight file, of which
// therefore also what is left out is read, or the CRC of a checkpoint.
class PlannedBytes : public BlobSource {
 public:
  // REQUIRES: all outlive it.
  // Segment i is that which the plan has as numbers[i]; where these are empty, as i.
  PlannedBytes(const Source& source,
               const Plan& plan,
               const ConvertOptions& options,
               CrcMismatches& crc_mismatches,
               std::span<const std::uint32_t> numbers = {})
      : source_(source),
        plan_(plan),
        options_(options),
        crc_mismatches_(crc_mismatches),
        numbers_(numbers) {}

  Result<void> begin_segment(std::size_t number) override;
  // A room holds whole elements: it ends where the segment does or at a multiple of 2 MiB.
  Result<void> read(std::span<std::byte> into) override;
  // REQUIRES: the segment is read to its end. Errors: kCorrupt (its digest is another, or its CRC
  // where options.verify_crc), kIo.
  Result<void> end_segment() override;

 private:
  const checkpoint::Storage& storage() const {
    return source_.checkpoint.storages[segment_->storage];
  }
  bool needs_whole() const;
  Result<void> read_storage(std::span<std::byte> into);
  Result<void> pass_over(std::uint64_t size_bytes);
  Result<void> check_digest();
  Result<void> check_crc();

  const Source& source_;
  const Plan& plan_;
  const ConvertOptions& options_;
  CrcMismatches& crc_mismatches_;
  const std::span<const std::uint32_t> numbers_;
  const SegmentSource* segment_ = nullptr;
  io::ReadAhead ahead_;
  std::optional<checkpoint::StorageReader> reader_;
  std::optional<format::SegmentDigester> digester_;  // of the storage, where its digest is recorded
  std::vector<std::byte> elements_;                  // read, but not to be written as they are
};

}  // namespace weightmap::convert
