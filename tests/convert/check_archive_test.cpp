// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "weightmap/convert.h"

#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;
using tests::write_file;
using tests::ZipEntry;
using Verdict = ArchiveRecord::Verdict;

ZipEntry entry(std::string name, std::string data, std::optional<std::uint32_t> crc32 = {}) {
  ZipEntry made;
  made.name = std::move(name);
  made.data = std::move(data);
  made.crc32 = crc32;
  return made;
}

TEST_SUITE_BEGIN("convert/check_archive");

TEST_CASE("each record is held against its CRC") {
  const TempDir dir;
  const std::string path = dir / "model.pt";
  // 0xCBF43926 is the check value of CRC-32 for these digits.
  write_file(path, tests::write_zip(
                       {entry("good", "123456789", 0xCBF43926U),
                        entry("bad", "123456780", 0xCBF43926U), entry("unknown", "123456789", 0U)},
                       {}));
  std::uint64_t told = 0;
  const auto records = check_archive(path, [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 18);
    told = done;
    return true;
  });
  REQUIRE(records);
  REQUIRE(records->size() == 3);
  CHECK(told == 18);
  CHECK((*records)[0].verdict == Verdict::kGood);
  CHECK((*records)[1].verdict == Verdict::kDamaged);
  CHECK((*records)[2].verdict == Verdict::kUnknown);
  const std::string bytes = tests::read_file(path);
  const ArchiveRecord& bad = (*records)[1];
  CHECK(bad.name == "bad");
  CHECK(bytes.substr(bad.begin_bytes, bad.end_bytes - bad.begin_bytes) == "123456780");
}

TEST_CASE("records that overlap are not read over and over") {
  const TempDir dir;
  std::vector<ZipEntry> entries{entry("first", std::string(1000, 'x'))};
  for (const char* name : {"second", "third"}) {
    entries.push_back(entry(name, ""));
    entries.back().header_offset = 0;
    entries.back().stored_bytes = 1000;
    entries.back().size_bytes = 1000;
    entries.back().crc32 = 1;
  }
  write_file(dir / "model.pt", tests::write_zip(entries, {}));
  const auto records = check_archive(dir / "model.pt");
  REQUIRE_FALSE(records);
  CHECK(records.error().code() == ErrorCode::kCorrupt);
  CHECK(records.error().message().find("zip: records overlap") != std::string::npos);
}

TEST_CASE("a check can be stopped") {
  const TempDir dir;
  write_file(dir / "model.pt", tests::write_zip({entry("a", "1")}, {}));
  const auto records =
      check_archive(dir / "model.pt", [](std::uint64_t, std::uint64_t) { return false; });
  REQUIRE_FALSE(records);
  CHECK(records.error().code() == ErrorCode::kCancelled);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
