// SPDX-License-Identifier: Apache-2.0
#include "archive_check.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "weightmap/convert.h"

namespace weightmap::tool {
namespace {

using Verdict = ArchiveRecord::Verdict;

std::string path_beside(const WeightFile& file, std::string_view name) {
  return (std::filesystem::path(file.path()).parent_path() / name).string();
}

std::vector<std::string_view> tensors_between(const WeightFile& file,
                                              std::uint32_t data_file,
                                              const ArchiveRecord& record) {
  std::vector<std::string_view> names;
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const TensorPlace place = file.place(number);
    if (!place.segment || file.segment(*place.segment).data_file != data_file) continue;
    if (place.offset_bytes >= record.begin_bytes && place.offset_bytes < record.end_bytes) {
      names.push_back(file.name(number));
    }
  }
  return names;
}

// One archive, whose records are looked up by their places.
class ArchiveVerdicts {
 public:
  explicit ArchiveVerdicts(std::vector<ArchiveRecord> records) : records_(std::move(records)) {
    std::ranges::sort(records_, {}, &ArchiveRecord::begin_bytes);
  }

  bool are_known(const SegmentInfo& segment) const {
    const auto after =
        std::ranges::upper_bound(records_, segment.offset_bytes, {}, &ArchiveRecord::begin_bytes);
    if (after == records_.begin()) return false;
    const ArchiveRecord& record = *std::prev(after);
    return record.verdict != Verdict::kUnknown &&
           segment.offset_bytes + segment.size_bytes <= record.end_bytes;
  }

  // Every record that is not what its CRC says, those of no tensor among them.
  void add_damages(const WeightFile& file, std::uint32_t data_file, VerifyReport& report) const {
    for (const ArchiveRecord& record : records_) {
      if (record.verdict != Verdict::kDamaged) continue;
      report.damages.push_back(
          {.data_file = data_file,
           .begin_bytes = record.begin_bytes,
           .end_bytes = record.end_bytes,
           .what = fmt::format("the record {} is not what its CRC was made of", record.name),
           .tensors = tensors_between(file, data_file, record)});
    }
  }

 private:
  std::vector<ArchiveRecord> records_;
};

// Those that a digest tells about are not asked for here.
std::vector<SegmentInfo> segments_without_digest(const WeightFile& file,
                                                 std::span<const Digest> digests,
                                                 std::uint32_t data_file) {
  std::vector<SegmentInfo> segments;
  for (std::uint32_t number = 0; number < file.segment_count(); ++number) {
    const SegmentInfo segment = file.segment(number);
    if (segment.data_file == data_file && digests[number] == Digest{}) segments.push_back(segment);
  }
  return segments;
}

}  // namespace

Result<std::uint64_t> check_archives(
    const WeightFile& file,
    VerifyReport& report,
    const std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>& progress) {
  std::uint64_t known = 0;
  if (report.segments_without_digest == 0) return known;
  const auto digests = file.segment_digests();
  if (!digests) return digests.error();
  const std::vector<DataFileInfo> data_files = file.data_files();
  for (std::uint32_t number = 0; number < data_files.size(); ++number) {
    const auto segments = segments_without_digest(file, *digests, number);
    if (data_files[number].kind != "zip" || segments.empty()) continue;
    auto records = check_archive(path_beside(file, data_files[number].name), progress);
    if (!records) return records.error();
    const ArchiveVerdicts verdicts(std::move(*records));
    verdicts.add_damages(file, number, report);
    known += static_cast<std::uint64_t>(std::ranges::count_if(
        segments, [&](const SegmentInfo& segment) { return verdicts.are_known(segment); }));
  }
  report.segments_without_digest -= known;
  return known;
}

}  // namespace weightmap::tool
