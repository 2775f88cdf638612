// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <limits>
#include <mutex>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/live.h"
#include "weightmap/publish.h"

#include "io/call_seam.h"
#include "sharing/generations.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using std::chrono::milliseconds;
using tests::mark_of;
using tests::TempDir;
using tests::write_marked;

constexpr milliseconds kForEver = std::chrono::hours(10);

LiveFile open_live(const std::string& path) {
  auto live = LiveFile::open(path);
  REQUIRE_MESSAGE(live, live.error().message());
  return std::move(*live);
}

std::uint64_t publish_mark(const TempDir& dir, std::int64_t mark) {
  write_marked(dir / "new.wmap", mark);
  const auto report = publish(dir / "new.wmap", dir / "m.wmap", {.sync = false});
  REQUIRE_MESSAGE(report, report.error().message());
  return report->generation;
}

// Without a publish: as mv does.
void move_mark(const TempDir& dir, std::int64_t mark) {
  write_marked(dir / "moved.wmap", mark);
  std::filesystem::rename(dir / "moved.wmap", dir / "m.wmap");
}

TEST_SUITE_BEGIN("sharing/live_file");

TEST_CASE("the file is that of the path, by the publisher's numbers") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  const LiveFile live = open_live(dir / "m.wmap");
  CHECK(live.path() == dir / "m.wmap");
  CHECK(live.current()->generation == 0);
  CHECK(mark_of(live.current()->file) == 1);
  for (std::int64_t mark = 2; mark < 5; ++mark) {
    const std::uint64_t generation = publish_mark(dir, mark);
    CHECK(live.current()->generation == generation);
    CHECK(mark_of(live.current()->file) == mark);
    CHECK(open_live(dir / "m.wmap").current()->generation == generation);
  }
  CHECK_FALSE(live.last_error());
}

TEST_CASE("the first file must open") {
  const TempDir dir;
  const auto none = LiveFile::open(dir / "m.wmap");
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == ErrorCode::kNotFound);
  tests::write_file(dir / "m.wmap", "text");
  const auto other = LiveFile::open(dir / "m.wmap");
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == ErrorCode::kWrongKind);
}

TEST_CASE("where nothing changed there is no system call, and no other object") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  const auto first = live.current();
  // Were the path asked, this would be seen: the file is gone from there.
  std::filesystem::rename(dir / "m.wmap", dir / "away.wmap");
  std::size_t quiet = 0;
  for (int round = 0; round < 10; ++round) {
    const tests::CallSeam seam;
    for (int i = 0; i < 100; ++i)
      CHECK(live.current() == first);
    quiet += seam.seen.empty() ? 1 : 0;
  }
  CHECK(quiet > 0);  // now and then the block is looked for
  CHECK_FALSE(live.last_error());
}

TEST_CASE("who holds a generation keeps its bytes, and nobody else does") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  auto held = live.current();
  publish_mark(dir, 2);
  CHECK(mark_of(live.current()->file) == 2);
  CHECK(mark_of(held->file) == 1);
  CHECK(tests::read_file("/proc/self/maps").find("m.wmap (deleted)") != std::string::npos);
  held.reset();
  CHECK(tests::read_file("/proc/self/maps").find("m.wmap (deleted)") == std::string::npos);
}

TEST_CASE("a file that does not open leaves the old one in service, until the next") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  tests::write_file(dir / "text", "no weights");
  std::filesystem::rename(dir / "text", dir / "m.wmap");
  CHECK(mark_of(live.current()->file) == 1);
  const auto looked = live.refresh();
  REQUIRE_FALSE(looked);
  CHECK(looked.error().code() == ErrorCode::kWrongKind);
  REQUIRE(live.last_error());
  CHECK(live.last_error()->message() == looked.error().message());
  CHECK(mark_of(live.current()->file) == 1);
  CHECK(live.wait_for_next(live.current()->generation, milliseconds(1)) == nullptr);

  std::filesystem::remove(dir / "m.wmap");
  CHECK_FALSE(live.refresh());
  CHECK(live.last_error()->code() == ErrorCode::kNotFound);
  CHECK(mark_of(live.current()->file) == 1);

  publish_mark(dir, 2);
  CHECK(mark_of(live.current()->file) == 2);
  CHECK_FALSE(live.last_error());
}

TEST_CASE("a published file that does not open is tried once, and again when asked") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  write_marked(dir / "new.wmap", 2);
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  const std::string whole = tests::read_file(dir / "m.wmap");
  tests::write_file(dir / "m.wmap", std::string(whole.size(), '\0'));  // damaged in place
  CHECK(mark_of(live.current()->file) == 1);
  REQUIRE(live.last_error());
  {
    const tests::CallSeam seam;
    CHECK(mark_of(live.current()->file) == 1);
    CHECK(seam.all("pread").empty());
  }
  tests::write_file(dir / "m.wmap", whole);
  CHECK(mark_of(live.current()->file) == 1);
  const auto again = live.refresh();
  REQUIRE(again);
  CHECK(mark_of((*again)->file) == 2);
  CHECK(live.current() == *again);
}

TEST_CASE("a file that was refused is told from a later one that gets its inode") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "good.wmap", 2);
  const LiveFile live = open_live(dir / "m.wmap");
  tests::write_file(dir / "text", "no weights");
  std::filesystem::rename(dir / "text", dir / "m.wmap");
  CHECK(mark_of(live.current()->file) == 1);
  CHECK(live.last_error()->code() == ErrorCode::kWrongKind);
  tests::write_file(dir / "m.wmap", tests::read_file(dir / "good.wmap"));  // the same inode
  CHECK(mark_of(live.current()->file) == 2);
  CHECK_FALSE(live.last_error());
}

TEST_CASE("what is published is opened, even if it looks as one that was refused") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  publish_mark(dir, 2);
  const std::string whole = tests::read_file(dir / "m.wmap");
  const auto time = std::filesystem::last_write_time(dir / "m.wmap");
  const auto write_at_that_time = [&](const std::string& path, const std::string& bytes) {
    tests::write_file(path, bytes);
    std::filesystem::last_write_time(path, time);
  };
  write_at_that_time(dir / "m.wmap", std::string(whole.size(), '\0'));
  CHECK(mark_of(live.current()->file) == 1);
  REQUIRE(live.last_error());
  std::filesystem::rename(dir / "m.wmap", dir / "new.wmap");
  write_at_that_time(dir / "new.wmap", whole);
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  CHECK(std::filesystem::last_write_time(dir / "m.wmap") == time);
  CHECK(mark_of(live.current()->file) == 2);
}

TEST_CASE("what was cancelled is tried again") {
  const TempDir dir;
  publish_mark(dir, 1);
  bool goes_on = true;
  LiveOptions options;
  options.open.prefault = Prefault::kBeforeReturn;
  options.open.progress = [&](auto, auto) { return goes_on; };
  const auto live = LiveFile::open(dir / "m.wmap", options);
  REQUIRE(live);
  publish_mark(dir, 2);
  goes_on = false;
  CHECK(mark_of(live->current()->file) == 1);
  REQUIRE(live->last_error());
  CHECK(live->last_error()->code() == ErrorCode::kCancelled);
  goes_on = true;
  REQUIRE(live->refresh());
  CHECK(mark_of(live->current()->file) == 2);
}

TEST_CASE("an error that may pass is tried again, now and then") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  publish_mark(dir, 2);
  {
    const tests::CallSeam seam([](const tests::SeenCall& call) {
      return tests::Verdict{.error = call.name == "open_at" ? EMFILE : 0};
    });
    CHECK(mark_of(live.current()->file) == 1);
    CHECK(live.last_error()->code() == ErrorCode::kIo);
    const std::size_t opened = seam.all("open_at").size();
    const auto start = std::chrono::steady_clock::now();
    std::size_t looks = 0;
    for (; std::chrono::steady_clock::now() - start < milliseconds(250); ++looks)
      live.current();
    CHECK(seam.all("open_at").size() > opened);
    CHECK(seam.all("open_at").size() < opened + looks);
  }
  CHECK(live.refresh());
  CHECK(mark_of(live.current()->file) == 2);
  CHECK_FALSE(live.last_error());
}

TEST_CASE("what is published while a file is being opened is what is opened then") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  publish_mark(dir, 2);
  int reads = 0;
  const io::SystemCalls kernel = io::system_calls();
  const tests::CallSeam seam([&](const tests::SeenCall& call) {
    if (call.name == "pread" && ++reads == 1) {
      CHECK(tests::exited_well(tests::in_child([&] {
        io::system_calls() = kernel;  // the seam is in this call, and takes one at a time
        publish_mark(dir, 3);
        return true;
      })));
    }
    return tests::Verdict{};
  });
  const auto now = live.current();
  CHECK(now->generation == 3);
  CHECK(mark_of(now->file) == 3);
}

TEST_CASE("without a block, or with one that is not trusted, the path itself is asked") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  const LiveFile live = open_live(dir / "m.wmap");
  move_mark(dir, 2);
  CHECK(mark_of(live.current()->file) == 2);
  CHECK(live.current()->generation == 1);
  move_mark(dir, 3);
  CHECK(mark_of(live.current()->file) == 3);
  CHECK(live.current()->generation == 2);

  publish_mark(dir, 4);  // the block's first, but numbers ascend
  CHECK(mark_of(live.current()->file) == 4);
  CHECK(live.current()->generation == 3);

  std::filesystem::permissions(dir / "m.wmap.generation", std::filesystem::perms(0666));
  const LiveFile wary = open_live(dir / "m.wmap");
  CHECK(wary.current()->generation == 0);
  move_mark(dir, 5);
  CHECK(mark_of(wary.current()->file) == 5);
}

TEST_CASE("beside a block, a file that is moved there is seen by refresh and by who waits") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  move_mark(dir, 2);
  CHECK(mark_of(live.current()->file) == 1);
  const auto refreshed = live.refresh();
  REQUIRE(refreshed);
  CHECK(mark_of((*refreshed)->file) == 2);
  CHECK((*refreshed)->generation == 2);
  move_mark(dir, 3);
  const auto waited = live.wait_for_next(2, kForEver);
  REQUIRE(waited != nullptr);
  CHECK(mark_of(waited->file) == 3);
}

TEST_CASE("a block that is removed, and made anew, is found again") {
  const TempDir dir;
  publish_mark(dir, 1);
  publish_mark(dir, 2);
  const LiveFile live = open_live(dir / "m.wmap");
  CHECK(live.current()->generation == 2);
  std::filesystem::remove(dir / "m.wmap.generation");
  publish_mark(dir, 3);
  const auto next = live.wait_for_next(2, kForEver);
  REQUIRE(next != nullptr);
  CHECK(mark_of(next->file) == 3);
  CHECK(next->generation == 3);
  publish_mark(dir, 4);
  CHECK(mark_of(live.current()->file) == 4);
}

TEST_CASE("who only looks finds a block that was made anew, too") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  std::filesystem::remove(dir / "m.wmap.generation");
  publish_mark(dir, 2);
  publish_mark(dir, 3);
  constexpr int kTries = 6000;  // a minute, where a second is enough
  for (int i = 0; i < kTries && mark_of(live.current()->file) != 3; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  CHECK(mark_of(live.current()->file) == 3);
}

TEST_CASE("waiting ends with the next generation, or with the time") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  CHECK(live.wait_for_next(1, milliseconds(0)) == nullptr);
  CHECK(live.wait_for_next(1, milliseconds(30)) == nullptr);
  CHECK(live.wait_for_next(0, milliseconds(0)) == live.current());
  std::jthread publisher([&] { publish_mark(dir, 2); });
  const auto next = live.wait_for_next(1, milliseconds(std::numeric_limits<std::int64_t>::max()));
  REQUIRE(next != nullptr);
  CHECK(next->generation == 2);
  CHECK(mark_of(next->file) == 2);
}

TEST_CASE("another process that waits gets each generation") {
  const TempDir dir;
  publish_mark(dir, 1);
  const int status = tests::in_child([&] {
    if (::fork() == 0) {
      const auto live = LiveFile::open(dir / "m.wmap");
      bool is_right = live.has_value();
      for (std::uint64_t after = 1; is_right && after < 4;) {
        const auto next = live->wait_for_next(after, kForEver);
        is_right =
            next != nullptr && mark_of(next->file) == static_cast<std::int64_t>(next->generation);
        after = next->generation;
      }
      ::_exit(is_right ? 0 : 1);
    }
    for (std::int64_t mark = 2; mark < 5; ++mark) {
      write_marked(dir / "new.wmap", mark);
      if (!publish(dir / "new.wmap", dir / "m.wmap")) return false;
    }
    int reader = 1;
    return ::wait(&reader) > 0 && tests::exited_well(reader);
  });
  CHECK(tests::exited_well(status));
}

TEST_CASE("callbacks come from a thread that ends with the file") {
  const TempDir dir;
  publish_mark(dir, 1);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::int64_t> marks;
  std::atomic<int> second = 0;
  {
    LiveFile live = open_live(dir / "m.wmap");
    CHECK(live.on_change([&](const auto& next) {
      const std::scoped_lock lock(mutex);
      marks.push_back(*mark_of(next->file));
      changed.notify_one();
    }));
    CHECK(live.on_change([&](const auto&) { ++second; }));
    for (std::int64_t mark = 2; mark < 6; ++mark) {
      publish_mark(dir, mark);
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !marks.empty() && marks.back() == mark; });
    }
    LiveFile moved = std::move(live);
    publish_mark(dir, 6);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return marks.back() == 6; });
  }
  CHECK(marks == std::vector<std::int64_t>{2, 3, 4, 5, 6});
  CHECK(second == 5);
  publish_mark(dir, 7);
  CHECK(marks.back() == 6);
}

TEST_CASE("a callback gets what is published before its thread runs") {
  const TempDir dir;
  publish_mark(dir, 1);
  // On one processor the new thread waits for this one.
  cpu_set_t all;
  cpu_set_t one;
  CPU_ZERO(&one);
  REQUIRE(::sched_getaffinity(0, sizeof all, &all) == 0);
  for (std::size_t cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  }
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  for (std::int64_t mark = 2; mark < 12; ++mark) {
    LiveFile live = open_live(dir / "m.wmap");
    write_marked(dir / "new.wmap", mark);
    std::promise<std::int64_t> called;
    CHECK(live.on_change([&](const auto& next) { called.set_value(*mark_of(next->file)); }));
    CHECK(publish(dir / "new.wmap", dir / "m.wmap", {.verify = false, .sync = false}));
    CHECK(mark_of(live.current()->file) == mark);
    std::future<std::int64_t> seen = called.get_future();
    const bool is_called = seen.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
    CHECK(is_called);
    if (!is_called) break;
    CHECK(seen.get() == mark);
  }
  CHECK(::sched_setaffinity(0, sizeof all, &all) == 0);
}

TEST_CASE("a child made by fork reads what its parent opened, and follows on its own") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  const auto held = live.current();
  const int status = tests::in_child([&] {
    if (mark_of(held->file) != 1 || mark_of(live.current()->file) != 1) return false;
    write_marked(dir / "new.wmap", 2);
    return publish(dir / "new.wmap", dir / "m.wmap") && mark_of(live.current()->file) == 2 &&
           mark_of(held->file) == 1;
  });
  CHECK(tests::exited_well(status));
  CHECK(mark_of(live.current()->file) == 2);
}

TEST_CASE("a program that is started inherits no descriptor") {
  const TempDir dir;
  publish_mark(dir, 1);
  LiveFile live = open_live(dir / "m.wmap");
  CHECK(live.on_change([](const auto&) {}));
  publish_mark(dir, 2);
  REQUIRE(live.wait_for_next(1, kForEver) != nullptr);
  const std::string open = tests::output_of("ls -l /proc/self/fd");
  CHECK_MESSAGE(open.find(dir.path()) == std::string::npos, open);
}

TEST_CASE("generations that come and go leave no descriptor and no mapping") {
  const TempDir dir;
  publish_mark(dir, 1);
  const LiveFile live = open_live(dir / "m.wmap");
  const auto mappings = [] {
    const std::string maps = tests::read_file("/proc/self/maps");
    std::size_t count = 0;
    for (std::size_t at = 0; (at = maps.find("m.wmap", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  const std::size_t descriptors = tests::open_descriptors();
  const std::size_t before = mappings();
  for (std::int64_t mark = 2; mark < 40; ++mark) {
    publish_mark(dir, mark);
    CHECK(mark_of(live.current()->file) == mark);
  }
  CHECK(tests::open_descriptors() == descriptors);
  CHECK(mappings() == before);
}

TEST_CASE("many threads read while a publisher publishes: each read is of one generation") {
  const TempDir dir;
  publish_mark(dir, 1);
  LiveFile live = open_live(dir / "m.wmap");
  std::atomic<std::uint64_t> called_back = 0;
  CHECK(live.on_change([&](const auto& next) { called_back = next->generation; }));
  constexpr std::int64_t kLast = 60;
  std::atomic<bool> is_over = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int reader = 0; reader < 6; ++reader) {
    readers.emplace_back([&] {
      std::uint64_t before = 0;
      while (!is_over) {
        const auto now = live.current();
        if (mark_of(now->file) != static_cast<std::int64_t>(now->generation)) ++wrong;
        if (now->generation < before) ++wrong;
        before = now->generation;
      }
    });
  }
  for (std::int64_t mark = 2; mark <= kLast; ++mark)
    publish_mark(dir, mark);
  const auto last = live.wait_for_next(kLast - 1, kForEver);
  CHECK(mark_of(last->file) == kLast);
  while (called_back != kLast)
    std::this_thread::yield();
  is_over = true;
  readers.clear();
  CHECK(wrong == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
