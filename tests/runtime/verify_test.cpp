// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/weight_file.h"

#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::tensor_in;

constexpr std::size_t kChunk = 16U << 20U;

// Two small tensors that share a segment with a third, and one of 40 MiB: three chunks.
std::shared_ptr<tests::AlignedBytes> sample() {
  format::Content content;
  content.tensors = {tensor_in(0, "a", {4}), tensor_in(0, "b", {2}),
                     tensor_in(1, "big", {10U << 20U}), tensor_in(2, "c", {3}, Dtype::kUInt8)};
  content.tensors[1].offset_bytes = 8;
  std::vector<float> big(10U << 20U);
  for (std::size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<float>(i);
  content.values.add_number(ValueKind::kNone, 0);
  return build_file(content, {bytes_of(std::vector<float>{1, 2, 3, 4}), bytes_of(big),
                              bytes_of(std::vector<std::uint8_t>{1, 2, 3})});
}

TEST_SUITE_BEGIN("runtime/verify");

TEST_CASE("an undamaged file is verified to the last byte") {
  const WeightFile file = open_built(sample());
  const auto report = file.verify();
  REQUIRE(report);
  CHECK(report->ok());
  CHECK(report->bytes_checked == 16 + (40U << 20U) + 3);
  CHECK(report->segments_checked == 3);
  CHECK(report->segments_without_digest == 0);
}

TEST_CASE("damage is told with its tensors, its chunk and its rule") {
  const auto bytes = sample();
  const WeightFile file = open_built(bytes);
  const std::uint64_t big = file.segment(1).offset_bytes;
  bytes->bytes()[file.segment(0).offset_bytes + 9] ^= std::byte{1};  // in a and in b
  bytes->bytes()[big + kChunk + 5] ^= std::byte{1};                  // in the second chunk
  for (const unsigned threads : {1U, 4U}) {
    const auto report = file.verify({.threads = threads});
    REQUIRE(report);
    REQUIRE(report->damages.size() == 2);
    CHECK(report->damages[0].tensors == std::vector<std::string_view>{"a", "b"});
    CHECK(report->damages[1].tensors == std::vector<std::string_view>{"big"});
    CHECK(report->damages[1].begin_bytes == big + kChunk);
    CHECK(report->damages[1].end_bytes == big + 2 * kChunk);
    CHECK(report->damages[1].what.find("R28") != std::string::npos);
  }
}

TEST_CASE("padding that is not zero is damage") {
  const auto bytes = sample();
  const WeightFile file = open_built(bytes);
  bytes->bytes()[file.segment(0).offset_bytes + 20] = std::byte{1};
  const auto report = file.verify();
  REQUIRE(report);
  REQUIRE(report->damages.size() == 1);
  CHECK(report->damages[0].what.find("R27") != std::string::npos);
  CHECK(report->damages[0].tensors.empty());
}

TEST_CASE("of many ranges of padding each is looked at") {
  constexpr std::uint32_t kTensors = 10'000;
  format::Content content;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kTensors; ++i)
    names.push_back("t" + std::to_string(i));
  std::vector<std::vector<std::byte>> segments;
  for (std::uint32_t i = 0; i < kTensors; ++i) {
    content.tensors.push_back(tensor_in(i, names[i], {1}, Dtype::kUInt8));
    segments.push_back({std::byte{1}});
  }
  content.values.add_number(ValueKind::kNone, 0);
  const auto bytes = build_file(content, segments);
  const WeightFile file = open_built(bytes);
  for (const std::uint32_t i : {0U, 4'095U, 4'096U, 7'000U, kTensors - 2}) {
    CAPTURE(i);
    std::byte& behind = bytes->bytes()[file.segment(i).offset_bytes + 1];
    behind = std::byte{1};
    for (const unsigned threads : {1U, 2U, 8U}) {
      const auto report = file.verify({.threads = threads});
      REQUIRE(report);
      REQUIRE(report->damages.size() == 1);
      CHECK(report->damages[0].begin_bytes == file.segment(i).offset_bytes + 1);
    }
    behind = std::byte{0};
  }
  CHECK(file.verify()->ok());
}

TEST_CASE("progress is told to the end and can stop the work") {
  const WeightFile file = open_built(sample());
  for (const unsigned threads : {1U, 2U, 8U}) {
    CAPTURE(threads);
    std::vector<std::uint64_t> told;
    std::set<std::uint64_t> totals;
    const auto watch = [&](std::uint64_t done, std::uint64_t total) {
      told.push_back(done);
      totals.insert(total);
      return true;
    };
    const auto whole = file.verify({.threads = threads, .progress = watch});
    REQUIRE(whole);
    CHECK(std::ranges::is_sorted(told));
    CHECK(told.front() == 0);
    CHECK(totals == std::set{told.back()});
    CHECK(told.back() > whole->bytes_checked);  // by the padding
    CHECK(told.back() < file.size_bytes());
  }
  const auto stopped =
      file.verify({.threads = 1, .progress = [](std::uint64_t, std::uint64_t) { return false; }});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == ErrorCode::kCancelled);
}

TEST_CASE("a file that is cut short after it was opened is an error, not a signal") {
  const tests::TempDir dir;
  const std::string path = dir / "cut.wmap";
  tests::write_file(path, tests::text_of(sample()->bytes()));
  const auto file = WeightFile::open(path);
  REQUIRE(file);
  REQUIRE(truncate(path.c_str(), 20U << 20U) == 0);
  const auto report = file->verify();
  REQUIRE(report);
  REQUIRE_FALSE(report->ok());
  CHECK(report->damages.back().what.find("cannot be read") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
