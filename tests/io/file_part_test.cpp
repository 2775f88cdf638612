// SPDX-License-Identifier: Apache-2.0
#include "io/file_part.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "io/checked_writer.h"
#include "io/file_writer.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::check_done;
using tests::noise;
using tests::read_file;
using tests::TempDir;
using tests::writer_of;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

// In pieces of a size that divides nothing.
void fill(FilePart& part, const std::string& bytes, FilePart::Range range) {
  for (std::uint64_t at = range.begin; at < range.end; at += 300'007)
    check_done(
        part.write(bytes_of(bytes).subspan(at, std::min<std::uint64_t>(300'007, range.end - at))));
  check_done(part.finish());
}

}  // namespace

TEST_SUITE("io/file_part") {
  TEST_CASE("parts that meet anywhere, filled in any order, make the file") {
    const TempDir dir;
    const std::string bytes = noise(11 * kMiB + 5);
    // Three of them meet in one window; one is empty; one begins and ends where windows do.
    const std::vector<std::uint64_t> borders{
        100, kMiB, kMiB + 1, kMiB + 1, 3 * kMiB, 4 * kMiB, 6 * kMiB, 9 * kMiB + 7, bytes.size()};
    for (const bool backwards : {false, true}) {
      for (const bool threaded : {false, true}) {
        CAPTURE(backwards);
        CAPTURE(threaded);
        const CallSeam seam;
        FileWriter writer = writer_of(dir / "out", bytes.size());
        check_done(writer.write(bytes_of(bytes).first(100)));
        std::vector<FilePart::Range> ranges;
        for (std::size_t i = 0; i + 1 < borders.size(); ++i)
          ranges.push_back({borders[i], borders[i + 1]});
        if (backwards) std::ranges::reverse(ranges);
        for (const FilePart::Range range : ranges) {
          FilePart part = writer.part(range, threaded);
          fill(part, bytes, range);
          CHECK(part.position() == range.end);
        }
        check_done(writer.pass_to(bytes.size()));
        check_done(writer.commit());
        CHECK(read_file(dir / "out") == bytes);
        CHECK(seam.all("pwrite").size() == 6);
      }
    }
  }

  TEST_CASE("parts are filled by threads at the same time") {
    const TempDir dir;
    const std::string bytes = noise(23 * kMiB + 1'234);
    FileWriter writer = writer_of(dir / "out", bytes.size());
    {
      std::vector<std::jthread> threads;
      for (std::uint64_t begin = 0; begin < bytes.size(); begin += 700'000) {
        const FilePart::Range range{begin, std::min<std::uint64_t>(begin + 700'000, bytes.size())};
        threads.emplace_back([&writer, &bytes, range] {
          FilePart part = writer.part(range, false);
          fill(part, bytes, range);
        });
      }
    }
    check_done(writer.pass_to(bytes.size()));
    check_done(writer.rewrite(5, bytes_of(bytes).subspan(5, 3 * kMiB)));
    check_done(writer.commit());
    CHECK(read_file(dir / "out") == bytes);
  }

  TEST_CASE("a part stays within its range, and ends at its end") {
    const TempDir dir;
    const FileWriter writer = writer_of(dir / "out", 4 * kMiB);
    FilePart part = writer.part({kMiB, kMiB + 3}, false);
    const auto refused = part.write(bytes_of("1234"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::kInvalidArgument);
    FilePart unfinished = writer.part({kMiB, kMiB + 3}, false);
    check_done(unfinished.write(bytes_of("12")));
    const auto not_complete = unfinished.finish();
    REQUIRE_FALSE(not_complete);
    CHECK(not_complete.error().message() == dir / "out: is not complete, 1048578 of 1048579 bytes");
    CHECK(unfinished.pad_to(kMiB).error().code() == ErrorCode::kInvalidArgument);
    CHECK(unfinished.pass_to(kMiB).error().code() == ErrorCode::kInvalidArgument);
  }

  TEST_CASE("a file with a part that nobody filled does not get its name") {
    const TempDir dir;
    const std::string bytes = noise(9 * kMiB);
    // What is missing ends within a window, or is one, or is all; and one part is filled twice.
    const std::vector<std::vector<FilePart::Range>> lists{
        {{0, kMiB}, {2 * kMiB, 9 * kMiB}},
        {{0, 2 * kMiB}, {4 * kMiB, 9 * kMiB}},
        {},
        {{0, 4 * kMiB}, {2 * kMiB, 9 * kMiB}},
    };
    for (const std::vector<FilePart::Range>& ranges : lists) {
      FileWriter writer = writer_of(dir / "out", bytes.size());
      for (const FilePart::Range range : ranges) {
        FilePart part = writer.part(range, false);
        fill(part, bytes, range);
      }
      const auto refused = writer.pass_to(bytes.size());
      REQUIRE_FALSE(refused);
      CHECK(refused.error().message() == dir / "out: is not complete, parts are missing");
      CHECK(writer.commit().error().code() == ErrorCode::kInvalidArgument);
      CHECK(dir.names().empty());
    }
  }

  TEST_CASE("what is rewritten lies within the part") {
    const TempDir dir;
    const std::string bytes = noise(6 * kMiB);
    FileWriter writer = writer_of(dir / "out", bytes.size());
    check_done(writer.pad_to(100));
    {
      FilePart part = writer.part({100, bytes.size()}, false);
      check_done(part.pad_to(5 * kMiB));
      CHECK(part.rewrite(99, bytes_of("1")).error().code() == ErrorCode::kInvalidArgument);
      CHECK(part.rewrite(5 * kMiB - 1, bytes_of("12")).error().code() ==
            ErrorCode::kInvalidArgument);
      check_done(part.rewrite(3 * kMiB, bytes_of(bytes).subspan(3 * kMiB, 2 * kMiB)));
      check_done(part.write(bytes_of(bytes).subspan(5 * kMiB)));
      check_done(part.finish());
    }
    check_done(writer.pass_to(bytes.size()));
    check_done(writer.rewrite(0, bytes_of(bytes).first(3 * kMiB)));
    check_done(writer.commit());
    CHECK(read_file(dir / "out") == bytes);
  }
}

}  // namespace weightmap::io
