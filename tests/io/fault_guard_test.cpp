// SPDX-License-Identifier: Apache-2.0
// Each case that lets a signal through runs in a child process.
#include "io/fault_guard.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "io/mapped_file.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::exited_well;
using tests::in_child;
using tests::TempDir;
using tests::was_killed_by;
using tests::write_file;

constexpr std::size_t kPageBytes = 4'096;

// Not 0, so that zeros are seen.
std::string pages(std::size_t count) {
  return std::string(count * kPageBytes, 'x');
}

MappedFile map_guarded(const std::string& path, Sharing sharing = Sharing::kShared) {
  auto mapped = MappedFile::map(*File::open(path), {.sharing = sharing, .guard = true});
  REQUIRE_MESSAGE(mapped, mapped.error().message());
  return std::move(*mapped);
}

char at(const MappedFile& mapped, std::size_t offset) {
  return static_cast<char>(*static_cast<const volatile std::byte*>(&mapped.bytes()[offset]));
}

// A file of 16 pages that is cut to four after it was mapped.
class CutFile {
 public:
  explicit CutFile(Sharing sharing = Sharing::kShared) {
    write_file(path(), pages(16));
    mapped_.emplace(map_guarded(path(), sharing));
    std::filesystem::resize_file(path(), 4 * kPageBytes);
  }
  std::string path() const { return dir_ / "file"; }
  const MappedFile& mapped() const { return *mapped_; }
  const FaultGuard& guard() const { return *mapped_->guard(); }

 private:
  TempDir dir_;
  std::optional<MappedFile> mapped_;
};

// Before any guard: a sanitizer has a handler of its own, which is none of what is tested here.
[[maybe_unused]] const auto kSanitizersHandler = std::signal(SIGBUS, SIG_DFL);

void handle_nothing(int) {}

void end_with_success(int number, siginfo_t* info, void*) {
  const bool is_bus_error = number == SIGBUS && info->si_code == BUS_ADRERR;
  ::_exit(is_bus_error ? 0 : 9);
}

void set_handler(void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

TEST_SUITE("io/fault_guard") {
  TEST_CASE("pages that are gone are zeros, those that are there are themselves") {
    const CutFile cut;
    CHECK_FALSE(cut.guard().has_faults());
    CHECK(at(cut.mapped(), 0) == 'x');
    CHECK(at(cut.mapped(), 4 * kPageBytes - 1) == 'x');
    CHECK_FALSE(cut.guard().has_faults());
    CHECK(at(cut.mapped(), 5 * kPageBytes + 7) == 0);
    CHECK(at(cut.mapped(), 6 * kPageBytes) == 0);
    CHECK(at(cut.mapped(), 15 * kPageBytes) == 0);
    CHECK(at(cut.mapped(), 4 * kPageBytes - 1) == 'x');
    CHECK(cut.guard().has_faults());
    const auto faults = cut.guard().faults();
    REQUIRE(faults.size() == 2);
    CHECK(faults[0].offset_bytes == 5 * kPageBytes);
    CHECK(faults[0].size_bytes == 2 * kPageBytes);
    CHECK(faults[1].offset_bytes == 15 * kPageBytes);
    CHECK(faults[1].size_bytes == kPageBytes);
  }

  TEST_CASE("a page of a private mapping can be written to when it has become zeros") {
    const CutFile cut(Sharing::kPrivate);
    const std::span<std::byte> bytes = cut.mapped().writable_bytes();
    bytes[9 * kPageBytes] = std::byte{'w'};
    CHECK(at(cut.mapped(), 9 * kPageBytes) == 'w');
    CHECK(at(cut.mapped(), 9 * kPageBytes + 1) == 0);
    CHECK(cut.guard().faults().size() == 1);
  }

  TEST_CASE("a fault in another mapping kills as it would without a guard") {
    const CutFile guarded;
    const TempDir dir;
    write_file(dir / "other", pages(2));
    const auto other = MappedFile::map(*File::open(dir / "other"));
    std::filesystem::resize_file(dir / "other", 0);
    CHECK(was_killed_by(in_child([&] { return at(*other, 0) == 0; }), SIGBUS));
    CHECK(exited_well(in_child([&] { return at(guarded.mapped(), 8 * kPageBytes) == 0; })));
  }

  TEST_CASE("a signal that a process sends is passed on") {
    const CutFile guarded;
    CHECK(was_killed_by(in_child([] { return ::raise(SIGBUS) == 0; }), SIGBUS));
    CHECK(was_killed_by(in_child([] { return ::kill(::getpid(), SIGBUS) == 0; }), SIGBUS));
  }

  TEST_CASE("who had a handler before still gets what is not in a guarded mapping") {
    // In a process that had no guard yet.
    const std::string program = std::filesystem::read_symlink("/proc/self/exe");
    const std::string only = " --no-skip --test-case='child: handler before the guard' > /dev/null";
    CHECK(exited_well(std::system((program + only).c_str())));
  }

  TEST_CASE("child: handler before the guard" * doctest::skip()) {
    const TempDir dir;
    write_file(dir / "other", pages(2));
    set_handler(end_with_success);
    const CutFile cut;
    if (at(cut.mapped(), 8 * kPageBytes) != 0) ::_exit(7);  // ours, not theirs
    const auto other = MappedFile::map(*File::open(dir / "other"));
    std::filesystem::resize_file(dir / "other", 0);
    static_cast<void>(at(*other, 0));
    ::_exit(8);
  }

  TEST_CASE("another handler that takes the place of ours is seen") {
    const CutFile cut;
    CHECK(FaultGuard::is_in_force());
    struct sigaction ours {};
    struct sigaction other {};
    other.sa_handler = handle_nothing;
    ::sigaction(SIGBUS, &other, &ours);
    CHECK_FALSE(FaultGuard::is_in_force());
    ::sigaction(SIGBUS, &ours, nullptr);
    CHECK(FaultGuard::is_in_force());
  }

  TEST_CASE("threads fault, each in a mapping of its own, while others come and go") {
    const TempDir dir;
    write_file(dir / "short", pages(1));
    std::atomic<bool> is_over = false;
    std::atomic<int> rounds = 0;
    std::atomic<int> wrong = 0;
    const auto fault_all = [&](std::size_t number) {
      const std::string path = dir / std::to_string(number);
      for (int round = 0; round < 40; ++round) {
        write_file(path, pages(64));
        const auto mapped = MappedFile::map(*File::open(path), {.guard = true});
        std::filesystem::resize_file(path, 0);
        for (std::size_t page = 0; page < 64; ++page)
          wrong += at(*mapped, page * kPageBytes) != 0 ? 1 : 0;
        const auto faults = mapped->guard()->faults();
        wrong += faults.size() != 1 || faults[0].size_bytes != 64 * kPageBytes ? 1 : 0;
        ++rounds;
      }
    };
    std::jthread others([&] {
      while (!is_over)
        static_cast<void>(MappedFile::map(*File::open(dir / "short"), {.guard = true}));
    });
    {
      std::vector<std::jthread> threads;
      for (std::size_t number = 0; number < 4; ++number)
        threads.emplace_back(fault_all, number);
    }
    is_over = true;
    CHECK(rounds == 160);
    CHECK(wrong == 0);
  }

  TEST_CASE("a child process has its parent's guards") {
    const CutFile cut;
    CHECK(exited_well(in_child(
        [&] { return at(cut.mapped(), 10 * kPageBytes) == 0 && cut.guard().has_faults(); })));
    CHECK_FALSE(cut.guard().has_faults());
  }

  TEST_CASE("there is room for no more than the documented number, and for as many again") {
    const TempDir dir;
    write_file(dir / "file", pages(1));
    const auto mapped = MappedFile::map(*File::open(dir / "file"));
    std::vector<std::unique_ptr<FaultGuard>> guards;
    Result<std::unique_ptr<FaultGuard>> last = FaultGuard::watch(mapped->bytes(), false);
    for (; last; last = FaultGuard::watch(mapped->bytes(), false))
      guards.push_back(std::move(*last));
    CHECK(guards.size() == FaultGuard::kMost);
    CHECK(last.error().code() == ErrorCode::kUnsupported);
    guards.clear();
    CHECK(FaultGuard::watch(mapped->bytes(), false).has_value());
  }
}

}  // namespace weightmap::io
