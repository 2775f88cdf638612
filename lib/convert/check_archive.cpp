// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "weightmap/convert.h"

#include "base/text.h"
#include "checkpoint/crc32.h"
#include "checkpoint/zip_archive.h"
#include "io/file.h"

namespace weightmap {
namespace {

using checkpoint::ZipRecord;
using Verdict = ArchiveRecord::Verdict;
using ProgressFunction = std::function<bool(std::uint64_t, std::uint64_t)>;

class ArchiveCheck {
 public:
  ArchiveCheck(const io::File& file,
               const checkpoint::ZipArchive& archive,
               const ProgressFunction& progress)
      : file_(file), archive_(archive), progress_(progress) {}

  Result<std::vector<ArchiveRecord>> run() {
    for (const ZipRecord& record : archive_.records()) {
      // No record is longer than the file, and the sum is compared at each step.
      total_bytes_ += is_to_read(record) ? record.stored_bytes : 0;
      if (total_bytes_ <= file_.size_bytes()) continue;
      return Error(ErrorCode::kCorrupt,
                   concat(file_.path(), ": zip: records overlap, with ", quoted(record.name),
                          " they are longer than the file of ", file_.size_bytes(), " bytes"));
    }
    std::vector<ArchiveRecord> checks;
    for (const ZipRecord& record : archive_.records()) {
      auto check = check_record(record);
      if (!check) return check.error();
      checks.push_back(std::move(*check));
    }
    return checks;
  }

 private:
  static bool is_to_read(const ZipRecord& record) {
    return record.has_crc() && !record.is_deflated();
  }

  Result<ArchiveRecord> check_record(const ZipRecord& record) {
    const Result<std::uint64_t> begin = archive_.data_offset(file_, record, ahead_);
    if (!begin) return begin.error();
    ArchiveRecord check{.name = std::string(record.name),
                        .begin_bytes = *begin,
                        .end_bytes = *begin + record.stored_bytes};
    if (!is_to_read(record)) return check;
    const Result<std::uint32_t> crc = crc_of(check);
    if (!crc) return crc.error();
    check.verdict = *crc == record.crc32 ? Verdict::kGood : Verdict::kDamaged;
    return check;
  }

  Result<std::uint32_t> crc_of(const ArchiveRecord& record) {
    constexpr std::uint64_t kBlockBytes = std::uint64_t{1} << 20U;
    checkpoint::Crc32 crc;
    for (std::uint64_t at = record.begin_bytes; at < record.end_bytes;) {
      block_.resize(std::min(kBlockBytes, record.end_bytes - at));
      const Result<void> read = ahead_.read_at(file_, at, block_);
      if (!read) return read.error();
      crc.update(block_);
      at += block_.size();
      done_bytes_ += block_.size();
      if (progress_ && !progress_(done_bytes_, total_bytes_)) {
        return Error(ErrorCode::kCancelled, concat(file_.path(), ": cancelled"));
      }
    }
    return crc.value();
  }

  const io::File& file_;
  const checkpoint::ZipArchive& archive_;
  const ProgressFunction& progress_;
  io::ReadAhead ahead_;
  std::vector<std::byte> block_;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace

Result<std::vector<ArchiveRecord>> check_archive(const std::string& path,
                                                 const ProgressFunction& progress) {
  const Result<io::File> file = io::File::open(path);
  if (!file) return file.error();
  const Result<checkpoint::ZipArchive> archive = checkpoint::ZipArchive::read(*file);
  if (!archive) return archive.error();
  return ArchiveCheck(*file, *archive, progress).run();
}

}  // namespace weightmap
