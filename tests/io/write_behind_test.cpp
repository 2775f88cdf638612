// SPDX-License-Identifier: Apache-2.0
// Parts of files that a thread of their own writes.
#include "io/write_behind.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "io/checked_writer.h"
#include "io/file_writer.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::check_done;
using tests::noise;
using tests::read_file;
using tests::SeenCall;
using tests::TempDir;
using tests::threads;
using tests::Verdict;

constexpr std::size_t kMiB = std::size_t{1} << 20U;
constexpr std::size_t kLarge = 37 * kMiB + 4'321;

FilePart whole_of(const FileWriter& writer, std::uint64_t size) {
  return writer.part({0, size}, true);
}

// Header and index last, as a conversion does.
Result<void> write_large(const std::string& target, const std::string& bytes, bool sync = false) {
  auto writer = FileWriter::create(target, {.size_bytes = bytes.size(), .sync = sync});
  if (!writer) return writer.error();
  Result<void> done;
  {
    FilePart part = whole_of(*writer, bytes.size());
    done = part.pad_to(100'000);
    for (std::size_t at = 100'000; done && at < bytes.size(); at += 700'001)
      done = part.write(
          bytes_of(bytes).subspan(at, std::min<std::size_t>(700'001, bytes.size() - at)));
    if (done) done = part.finish();
  }
  if (done) done = writer->pass_to(bytes.size());
  if (done) done = writer->rewrite(0, bytes_of(bytes).first(100'000));
  return done ? writer->commit() : done;
}

}  // namespace

TEST_SUITE("io/write_behind") {
  TEST_CASE("the bytes are those that were written, and each write ends on a border of 2 MiB") {
    const TempDir dir;
    const std::string bytes = noise(kLarge);
    for (const bool sync : {false, true}) {
      const CallSeam seam;
      check_done(write_large(dir / "out", bytes, sync));
      REQUIRE(read_file(dir / "out") == bytes);
      const auto writes = seam.all("pwrite");
      REQUIRE(writes.size() == 20);
      for (std::size_t i = 0; i + 2 < writes.size(); ++i) {
        CHECK(writes[i].offset == std::int64_t(i * 2 * kMiB));
        CHECK(writes[i].size == 2 * kMiB);
      }
      CHECK(writes[18].offset == std::int64_t(36 * kMiB));
      CHECK(writes[19].offset == 0);  // what is rewritten, when all before it is there
      CHECK(writes[19].size == 100'000);
    }
  }

  TEST_CASE("there is a thread where that is wanted, once there is something to write") {
    const TempDir dir;
    const std::size_t before = threads().size();
    const std::string half = noise(4 * kMiB);
    for (const bool threaded : {false, true}) {
      auto writer = FileWriter::create(dir / "out", {.size_bytes = 8 * kMiB, .sync = false});
      REQUIRE(writer);
      {
        FilePart part = writer->part({0, 8 * kMiB}, threaded);
        CHECK(threads().size() == before);
        check_done(part.write(bytes_of(half)));
        CHECK(threads().size() == before + (threaded ? 1 : 0));
        check_done(part.write(bytes_of(half)));
        check_done(part.finish());
      }
      CHECK(threads().size() == before);
      check_done(writer->pass_to(8 * kMiB));
      check_done(writer->commit());
    }
  }

  TEST_CASE("the thread takes no signal that is the program's") {
    const TempDir dir;
    const auto before = threads();
    auto writer = FileWriter::create(dir / "out", {.size_bytes = 64 * kMiB, .sync = false});
    FilePart part = whole_of(*writer, 64 * kMiB);
    check_done(part.write(bytes_of(noise(4 * kMiB))));
    const auto blocked_by_thread = [&before] {
      for (const std::filesystem::path& thread : threads()) {
        if (before.contains(thread)) continue;
        const std::string status = read_file(thread / "status");
        return std::stoull(status.substr(status.find("SigBlk:") + 8, 16), nullptr, 16);
      }
      return 0ULL;
    };
    std::uint64_t blocked = blocked_by_thread();
    while ((blocked >> (SIGSEGV - 1) & 1U) == 1)  // the system has not begun it yet
      blocked = blocked_by_thread();
    REQUIRE(blocked != 0);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGALRM})
      CHECK((blocked >> (signal - 1) & 1U) == 1);
    CHECK((blocked >> (SIGBUS - 1) & 1U) == 0);
  }

  TEST_CASE("without a thread to give the caller writes itself") {
    const TempDir dir;
    std::filesystem::permissions(dir.path(), std::filesystem::perms::all);
    const std::string bytes = noise(kLarge);
    CHECK(tests::exited_well(tests::in_child([&] {
      if (!tests::give_up_threads()) return false;
      return write_large(dir / "out", bytes).has_value();
    })));
    CHECK(read_file(dir / "out") == bytes);
  }

  TEST_CASE("a write that fails, whichever, is told, and nothing is left") {
    const TempDir dir;
    const std::string bytes = noise(kLarge);
    tests::write_file(dir / "out", "old");
    for (std::size_t failing = 1; failing <= 20; ++failing) {
      CAPTURE(failing);
      std::size_t writes = 0;
      const CallSeam seam([&](const SeenCall& call) {
        const bool fails = call.name == "pwrite" && ++writes == failing;
        return Verdict{.error = fails ? ENOSPC : 0};
      });
      const auto done = write_large(dir / "out", bytes);
      REQUIRE_FALSE(done);
      CHECK(done.error().message() == dir / "out: cannot write: no space left on device");
      CHECK(seam.all("link_at").empty());
      CHECK(seam.all("rename_at").empty());
      // Nothing is written behind a failure.
      CHECK(writes == failing);
    }
    CHECK(read_file(dir / "out") == "old");
    CHECK(dir.names() == std::vector<std::string>{"out"});
  }

  TEST_CASE("short and interrupted writes are gone on with") {
    const TempDir dir;
    const std::string bytes = noise(kLarge);
    std::size_t calls = 0;
    const CallSeam seam([&](const SeenCall& call) {
      const bool is_write = call.name == "pwrite";
      const bool is_interrupted = is_write && ++calls % 3 == 0;
      return Verdict{.error = is_interrupted ? EINTR : 0, .at_most = is_write ? 700'000 : -1};
    });
    check_done(write_large(dir / "out", bytes));
    CHECK(read_file(dir / "out") == bytes);
  }

  TEST_CASE("a writer that is given up in the middle leaves nothing, and no thread") {
    const TempDir dir;
    const std::size_t before = threads().size();
    {
      auto writer = FileWriter::create(dir / "out", {.size_bytes = 64 * kMiB, .sync = false});
      FilePart part = whole_of(*writer, 64 * kMiB);
      check_done(part.write(bytes_of(noise(21 * kMiB))));
    }
    CHECK(threads().size() == before);
    CHECK(dir.names().empty());
  }

  TEST_CASE("killed at any write, the target is the old one, and the next run goes through") {
    const std::string bytes = noise(kLarge);
    for (const std::size_t fatal : {1U, 2U, 7U, 18U, 19U, 20U}) {
      CAPTURE(fatal);
      const TempDir dir;
      tests::write_file(dir / "out", "old");
      const int status = tests::in_child([&] {
        std::size_t writes = 0;
        const CallSeam seam([&](const SeenCall& call) {
          return Verdict{.killed_after = call.name == "pwrite" && ++writes == fatal};
        });
        return write_large(dir / "out", bytes).has_value();
      });
      CHECK(tests::was_killed_by(status, SIGKILL));
      CHECK(read_file(dir / "out") == "old");
      check_done(write_large(dir / "out", bytes));
      CHECK(read_file(dir / "out") == bytes);
      CHECK(dir.names() == std::vector<std::string>{"out"});
    }
  }
}

}  // namespace weightmap::io
