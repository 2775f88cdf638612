// SPDX-License-Identifier: Apache-2.0
#include "io/read_by_threads.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::noise;
using tests::TempDir;
using tests::write_file;

bool go_on(std::uint64_t) {
  return true;
}

}  // namespace

TEST_SUITE("io/read_by_threads") {
  TEST_CASE("the bytes are the file's, whatever its size") {
    const TempDir dir;
    for (const std::size_t size : {0U, 1U, 4'096U, 8U << 20U, (40U << 20U) + 17U}) {
      CAPTURE(size);
      write_file(dir / "file", noise(size));
      const auto read = read_by_threads(*File::open(dir / "file"), go_on);
      REQUIRE(read);
      CHECK(tests::text_of(read->bytes()) == noise(size));
      CHECK(reinterpret_cast<std::uintptr_t>(read->bytes().data()) % 4'096 == 0);
    }
  }

  TEST_CASE("progress begins with nothing, rises, and ends with all") {
    const TempDir dir;
    write_file(dir / "file", noise(40U << 20U));
    std::vector<std::uint64_t> told;
    REQUIRE(read_by_threads(*File::open(dir / "file"), [&](std::uint64_t done) {
      told.push_back(done);
      return true;
    }));
    REQUIRE(told.size() >= 2);
    CHECK(told.front() == 0);
    CHECK(told.back() == 40U << 20U);
    CHECK(std::ranges::is_sorted(told));
  }

  TEST_CASE("a caller that does not go on is asked no more") {
    const TempDir dir;
    write_file(dir / "file", noise(40U << 20U));
    for (const std::size_t last : {1U, 2U}) {
      std::size_t calls = 0;
      const auto stopped =
          read_by_threads(*File::open(dir / "file"), [&](std::uint64_t) { return ++calls < last; });
      REQUIRE_FALSE(stopped);
      CHECK(stopped.error().code() == ErrorCode::kCancelled);
      CHECK(calls == last);
    }
  }

  TEST_CASE("a file that was cut short after it was opened is an error that names it") {
    const TempDir dir;
    write_file(dir / "file", noise(20U << 20U));
    const auto file = File::open(dir / "file");
    std::filesystem::resize_file(dir / "file", 9U << 20U);
    const auto read = read_by_threads(*file, go_on);
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == ErrorCode::kCorrupt);
    CHECK(read.error().message().starts_with(dir / "file: "));
  }

  TEST_CASE("more than the memory is an error, not an exception") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    MESSAGE("SKIPPED: sanitizers end a program that asks for more than there is");
    return;
#endif
    const TempDir dir;
    write_file(dir / "file", "x");
    std::filesystem::resize_file(dir / "file", std::uintmax_t{1} << 43U);  // sparse
    const auto file = File::open(dir / "file");
    REQUIRE(file);
    CHECK(tests::exited_well(tests::in_child([&] {
      if (!tests::leave_memory(std::uint64_t{1} << 30U)) return false;
      const auto read = read_by_threads(*file, [](std::uint64_t) { return true; });
      return !read && read.error().code() == ErrorCode::kIo &&
             read.error().message().find("memory") != std::string::npos;
    })));
  }
}

}  // namespace weightmap::io
