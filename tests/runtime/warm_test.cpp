// SPDX-License-Identifier: Apache-2.0
#include "weightmap/warm.h"

#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

std::string write_model(const TempDir& dir) {
  format::Content content;
  content.tensors.push_back(tests::tensor_in(0, "t", {4 << 20}));
  const auto built = tests::build_file(content, {std::vector<std::byte>(16 * kMiB, std::byte{1})});
  tests::write_file(dir / "model.wmap", tests::text_of(built->bytes()));
  return dir / "model.wmap";
}

void forget(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  CHECK(::fsync(descriptor) == 0);
  CHECK(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0);
  ::close(descriptor);
}

TEST_SUITE("runtime/warm") {
  TEST_CASE("a file that was not in the page cache is there whole, and none of it is damaged") {
    const TempDir dir;
    const std::string path = write_model(dir);
    forget(path);
    const auto file = WeightFile::open(path);
    REQUIRE(file);
    std::uint64_t last = 0;
    const auto report = warm(*file, {.progress = [&](auto done, auto total) {
      CHECK(total == file->size_bytes());
      last = done;
      return true;
    }});
    REQUIRE_MESSAGE(report, report.error().message());
    CHECK(last == file->size_bytes());
    REQUIRE(report->before.size() == 1);
    REQUIRE(report->after.size() == 1);
    CHECK(report->after[0].path == path);
    CHECK(report->after[0].size_bytes == file->size_bytes());
    CHECK(report->after[0].cached_bytes == file->size_bytes());
    CHECK(report->before[0].cached_bytes <= file->size_bytes());
    const auto verified = file->verify();
    REQUIRE(verified);
    CHECK(verified->ok());
  }

  TEST_CASE("what is cached in small pages is in larger ones afterwards, where there are such") {
    const TempDir dir;
    const std::string path = write_model(dir);  // written in pieces of 8 KiB or so
    const auto file = WeightFile::open(path);
    REQUIRE(file);
    const auto first = warm(*file);
    REQUIRE(first);
    const bool tells = first->before[0].huge_bytes.has_value();
    CHECK(first->after[0].cached_bytes == file->size_bytes());
    if (tells) {
      CHECK(first->was_dropped == (*first->before[0].huge_bytes < 14 * kMiB));
      CHECK(*first->after[0].huge_bytes >= *first->before[0].huge_bytes);
    }
  }

  TEST_CASE("it stops when it is told to") {
    const TempDir dir;
    const auto file = WeightFile::open(write_model(dir));
    REQUIRE(file);
    const auto report = warm(*file, {.progress = [](auto, auto) { return false; }});
    REQUIRE_FALSE(report);
    CHECK(report.error().code() == ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace weightmap
