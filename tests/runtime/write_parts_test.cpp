// SPDX-License-Identifier: Apache-2.0
#include "runtime/write_parts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::bytes_of;
using tests::noise;
using tests::read_file;
using tests::TempDir;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::size_t kParts = 6;

using Step = std::function<Result<void>(std::size_t part)>;

// Each part is 9 MiB: a step, then its bytes.
class Steps : public PartFiller {
 public:
  Steps(const Step& step, const std::string& bytes) : step_(step), bytes_(bytes) {}

  Result<void> fill(const ItemsPart& part,
                    io::FilePart& into,
                    const io::WorkProgress& progress) override {
    Result<void> done = step_(part.first_item);
    const auto [begin, end] = part.range;
    if (done) done = into.write(bytes_of(bytes_).subspan(begin, end - begin));
    return done ? progress(end - begin) : done;
  }

 private:
  const Step& step_;
  const std::string& bytes_;
};

struct Parts {
  TempDir dir;
  std::string bytes = noise(kParts * 9 * kMiB);
  std::vector<ItemsPart> parts;

  Parts() {
    std::vector<std::uint64_t> ends;
    for (std::size_t i = 1; i <= kParts; ++i)
      ends.push_back(i * 9 * kMiB);
    parts = parts_of(0, ends);
    REQUIRE(parts.size() == kParts);
  }

  Result<void> write(const Step& step,
                     unsigned jobs,
                     const ProgressTeller::Function& told = {}) const {
    auto writer = io::FileWriter::create(dir / "out", {.size_bytes = bytes.size(), .sync = false});
    if (!writer) return writer.error();
    ProgressTeller progress(told, dir / "out", bytes.size());
    const auto make = [&] { return std::make_unique<Steps>(step, bytes); };
    Result<void> written = write_parts(*writer, parts, make, jobs, progress);
    return written ? writer->commit() : written;
  }
};

Result<void> go_on(std::size_t) {
  return {};
}

constexpr unsigned kJobs[] = {1, 2, 3, 8};

}  // namespace

TEST_SUITE("runtime/write_parts") {
  TEST_CASE("all parts are filled, in any number of threads") {
    const Parts parts;
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      REQUIRE(parts.write(go_on, jobs));
      CHECK(read_file(parts.dir / "out") == parts.bytes);
    }
  }

  TEST_CASE("small items are taken together, and each item is in one part") {
    std::vector<std::uint64_t> ends;
    for (std::uint64_t i = 1; i <= 10'000; ++i)
      ends.push_back(500 + i * 3'000 + (i >= 5'000 ? 40 * kMiB : 0));
    const std::vector<ItemsPart> parts = parts_of(500, ends);
    std::size_t next = 0;
    std::uint64_t at = 500;
    for (const ItemsPart& part : parts) {
      CHECK(part.first_item == next);
      CHECK(part.end_item > part.first_item);
      CHECK(part.range.begin == at);
      next = part.end_item;
      at = part.range.end;
      CHECK(at == ends[next - 1]);
    }
    CHECK(next == ends.size());
    CHECK(parts.size() < 12);
    CHECK(parts_of(7, {}).empty());
  }

  TEST_CASE("a part that fails leaves no file, and its error is told") {
    const Parts parts;
    const Step step = [](std::size_t part) {
      return part == 4 ? Result<void>(Error(ErrorCode::kCorrupt, "part 4")) : Result<void>();
    };
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      const auto failed = parts.write(step, jobs);
      REQUIRE_FALSE(failed);
      CHECK(failed.error().message() == "part 4");
      CHECK(parts.dir.names().empty());
    }
  }

  TEST_CASE("an exception of a part leaves no file") {
    const Parts parts;
    const Step step = [](std::size_t part) -> Result<void> {
      return part == 4 ? throw std::bad_alloc() : Result<void>();
    };
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      CHECK_THROWS_AS((void)parts.write(step, jobs), std::bad_alloc);
      CHECK(parts.dir.names().empty());
    }
  }

  TEST_CASE("who tells progress may stop it, and leaves no file") {
    const Parts parts;
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      int calls = 0;
      const auto stopped =
          parts.write(go_on, jobs, [&](std::uint64_t, std::uint64_t) { return ++calls < 2; });
      REQUIRE_FALSE(stopped);
      CHECK(stopped.error().code() == ErrorCode::kCancelled);
      CHECK(calls == 2);
      CHECK(parts.dir.names().empty());
    }
  }
}

}  // namespace weightmap
