// SPDX-License-Identifier: Apache-2.0
#include "weightmap/prefault.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::resident_bytes_of_mapping;
using tests::TempDir;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kPageBytes = 4'096;

// A weight file of four tensors of 24 MiB each, and one that has no bytes.
class Model {
 public:
  Model() {
    format::Content content;
    std::vector<std::vector<std::byte>> segments;
    for (std::uint32_t i = 0; i < 4; ++i) {
      content.tensors.push_back(tests::tensor_in(i, "t" + std::to_string(i), {6 << 20}));
      segments.emplace_back(24 * kMiB, std::byte{1});
    }
    content.tensors.push_back({.name = "empty", .shape = {0}, .strides = {1}});
    const auto built = tests::build_file(content, segments);
    tests::write_file(path(), tests::text_of(built->bytes()));
  }
  std::string path() const { return dir_ / "model.wmap"; }
  WeightFile open() const {
    auto file = WeightFile::open(path());
    REQUIRE_MESSAGE(file, file.error().message());
    return *file;
  }

 private:
  TempDir dir_;
};

std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

TEST_SUITE("runtime/prefault") {
  TEST_CASE("all pages of a file are in the page table, and none before") {
    const Model model;
    const WeightFile file = model.open();
    CHECK(resident_bytes_of_mapping(model.path()) == 0);
    std::vector<std::uint64_t> told;
    const auto done = prefault(file, {.progress = [&](std::uint64_t now, std::uint64_t total) {
                                 CHECK(total == file.size_bytes());
                                 told.push_back(now);
                                 return true;
                               }});
    REQUIRE_MESSAGE(done, done.error().message());
    CHECK(resident_bytes_of_mapping(model.path()) == whole_pages(file.size_bytes()));
    REQUIRE(told.size() >= 3);
    CHECK(told.front() == 0);
    CHECK(std::ranges::is_sorted(told));
    CHECK(told.back() == file.size_bytes());
  }

  TEST_CASE("of some tensors no other pages come, but for what stands in one page with them") {
    const Model model;
    const WeightFile file = model.open();
    std::vector<std::uint64_t> told;
    const PrefaultOptions options{.tensors = {3, 4, 1}, .progress = [&](auto now, auto total) {
                                    CHECK(total == 48 * kMiB);
                                    told.push_back(now);
                                    return true;
                                  }};
    REQUIRE(prefault(file, options));
    CHECK(told == std::vector<std::uint64_t>{0, 24 * kMiB, 48 * kMiB});
    const std::uint64_t resident = resident_bytes_of_mapping(model.path());
    CHECK(resident >= 48 * kMiB);
    CHECK(resident <= 60 * kMiB);
  }

  TEST_CASE("neighbours are brought in together, whatever their number") {
    const Model model;
    const WeightFile file = model.open();
    int calls = 0;
    const PrefaultOptions options{.tensors = {0, 1, 2, 3}, .progress = [&](auto, auto total) {
                                    CHECK(total == 96 * kMiB);
                                    ++calls;
                                    return true;
                                  }};
    REQUIRE(prefault(file, options));
    CHECK(calls == 1 + 3);  // 96 MiB by 32
  }

  TEST_CASE("it stops when it is told to") {
    const Model model;
    const WeightFile file = model.open();
    for (const int last : {0, 1}) {
      int calls = 0;
      const auto done = prefault(file, {.progress = [&](auto, auto) { return calls++ < last; }});
      REQUIRE_FALSE(done);
      CHECK(done.error().code() == ErrorCode::kCancelled);
      CHECK(done.error().message() == model.path() + ": cancelled");
    }
    CHECK(resident_bytes_of_mapping(model.path()) <= 34 * kMiB);
  }

  TEST_CASE("a file that was cut short is an error, not a signal") {
    const Model model;
    const WeightFile file = model.open();
    std::filesystem::resize_file(model.path(), 50 * kMiB);
    const auto done = prefault(file);
    REQUIRE_FALSE(done);
    CHECK(done.error().code() == ErrorCode::kIo);
    CHECK(done.error().message().starts_with(model.path() + ": bytes 33554432 to 67108864"));
    CHECK(prefault(file, {.tensors = {0}}));
  }

  TEST_CASE("in the background: done, and what it found") {
    const Model model;
    std::atomic<std::uint64_t> last = 0;
    BackgroundPrefault first(model.open(), {.progress = [&](auto now, auto) {
                               last = now;
                               return true;
                             }});
    BackgroundPrefault moved = std::move(first);
    REQUIRE(moved.wait());
    CHECK(moved.is_done());
    CHECK(moved.done_bytes() == moved.total_bytes());
    CHECK(last == moved.total_bytes());

    const WeightFile file = model.open();
    std::filesystem::resize_file(model.path(), 50 * kMiB);
    BackgroundPrefault second(file);
    const auto done = second.wait();
    REQUIRE_FALSE(done);
    CHECK(done.error().code() == ErrorCode::kIo);
  }

  TEST_CASE("in the background: cancelled, and left alone") {
    const Model model;
    std::atomic<bool> is_held = true;
    const auto hold = [&](std::uint64_t, std::uint64_t) {
      while (is_held)
        std::this_thread::yield();
      return true;
    };
    BackgroundPrefault work(model.open(), {.progress = hold});
    work.cancel();
    is_held = false;
    const auto done = work.wait();
    CHECK(work.is_done());
    if (!done) CHECK(done.error().code() == ErrorCode::kCancelled);
    CHECK(work.done_bytes() <= 32 * kMiB);

    { const BackgroundPrefault unwatched(model.open()); }
    work = BackgroundPrefault(model.open());
    CHECK(work.wait());
  }

  TEST_CASE("bytes in memory are there already") {
    format::Content content;
    content.tensors.push_back(tests::tensor_in(0, "t", {2}));
    const auto file = tests::open_built(tests::build_file(content, {std::vector<std::byte>(8)}));
    CHECK(prefault(file));
  }
}

}  // namespace
}  // namespace weightmap
