// SPDX-License-Identifier: Apache-2.0
// Every system call of every situation fails once, in every way, and the directory is looked at.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "io/file_writer.h"
#include "io/writer_scenario.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::kernel_of;
using tests::kScenarios;
using tests::kTarget;
using tests::kTemporary;
using tests::new_bytes;
using tests::old_bytes;
using tests::open_descriptors;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_all;

using Names = std::vector<std::string>;

struct Fault {
  std::string_view name;
  int error;               // or, when 0, the call moves no more than a few bytes
  std::string_view words;  // in the message
};

constexpr Fault kFaults[] = {
    {"a full disk", ENOSPC, "no space left on device"},
    {"a used up quota", EDQUOT, "disk quota exceeded"},
    {"a broken device", EIO, "input/output error"},
    {"a file too large", EFBIG, "file too large"},
    {"no permission", EACCES, "permission denied"},
    {"an interruption", EINTR, "interrupted system call"},
    {"a short write", 0, ""},
};

std::vector<SeenCall> calls_of(const Scenario& scenario) {
  const TempDir dir;
  tests::set_up(scenario, dir);
  CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
  REQUIRE(write_all(dir / kTarget, new_bytes()));
  return std::move(seam.seen);
}

bool is_repeated_when_interrupted(const SeenCall& call) {
  return call.name == "open_at" || call.name == "pwrite" || call.name == "fallocate" ||
         call.name == "fsync" || call.name == "flock";
}

// Advice, and the lock of the writer's own file, which some file systems do not have.
bool may_fail_unnoticed(const std::vector<SeenCall>& calls, std::size_t failing) {
  if (calls[failing].name == "sync_file_range") return true;
  const auto is_lock = [](const SeenCall& call) { return call.name == "flock"; };
  return is_lock(calls[failing]) &&
         std::none_of(calls.begin() + std::ptrdiff_t(failing) + 1, calls.end(), is_lock);
}

bool must_succeed(const std::vector<SeenCall>& calls, std::size_t failing, const Fault& fault) {
  if (fault.error == 0 || may_fail_unnoticed(calls, failing)) return true;
  return fault.error == EINTR && is_repeated_when_interrupted(calls[failing]);
}

// The situation where the call can only be told about when the name is already given.
bool fails_after_the_step(const std::vector<SeenCall>& calls, std::size_t failing) {
  return failing + 1 == calls.size() && calls[failing].name == "fsync";
}

void check_failure(const Result<void>& done, const std::string& target, std::string_view words) {
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == ErrorCode::kIo);
  CHECK(done.error().message().starts_with(target + ": "));
  CHECK_MESSAGE(done.error().message().find(words) != std::string::npos, done.error().message());
}

void run_with_fault(const Scenario& scenario,
                    const std::vector<SeenCall>& calls,
                    std::size_t failing,
                    const Fault& fault) {
  CAPTURE(calls[failing].name);
  const TempDir dir;
  const Names before = tests::set_up(scenario, dir);
  const std::size_t descriptors = open_descriptors();
  std::size_t number = 0;
  Result<void> done;
  {
    const CallSeam seam([&](const SeenCall& seen) {
      if (number++ != failing) return kernel_of(scenario, seen);
      return Verdict{.error = fault.error, .at_most = fault.error == 0 ? 5 : -1};
    });
    done = write_all(dir / kTarget, new_bytes());
  }
  CHECK(number > failing);
  CHECK(open_descriptors() == descriptors);
  if (must_succeed(calls, failing, fault)) {
    REQUIRE_MESSAGE(done.has_value(), done.error().message());
  } else {
    const bool is_lock = calls[failing].name == "flock";
    check_failure(done, dir / kTarget, is_lock ? "is in the way" : fault.words);
  }
  const bool has_new_name = fails_after_the_step(calls, failing);
  if (!done && has_new_name) {
    CHECK(done.error().message().find("is written, but its directory") != std::string::npos);
  }
  if (done || has_new_name) {
    CHECK(read_file(dir / kTarget) == new_bytes());
    CHECK(dir.names() == Names{kTarget});
    return;
  }
  if (scenario.target_exists) CHECK(read_file(dir / kTarget) == old_bytes());
  // Nothing new: at most a dead writer's temporary that could not be removed is still there.
  for (const std::string& name : dir.names()) {
    CHECK(std::ranges::find(before, name) != before.end());
  }
}

TEST_SUITE_BEGIN("io/file_writer_faults");

TEST_CASE("a call that fails leaves the old bytes and no other file") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const std::vector<SeenCall> calls = calls_of(scenario);
    REQUIRE(calls.size() >= 8);
    for (std::size_t failing = 0; failing < calls.size(); ++failing) {
      CAPTURE(failing);
      for (const Fault& fault : kFaults) {
        CAPTURE(fault.name);
        run_with_fault(scenario, calls, failing, fault);
      }
    }
  }
}

TEST_CASE("a disk that fills up at any write is told, and later calls do nothing") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    const Names before = tests::set_up(scenario, dir);
    int writes = 0;
    const CallSeam seam([&](const SeenCall& call) {
      if (call.name == "pwrite" && ++writes >= 2) return Verdict{.error = ENOSPC};
      return kernel_of(scenario, call);
    });
    auto writer = FileWriter::create(dir / kTarget, {.size_bytes = 3 * FileWriter::kWriteBytes});
    REQUIRE(writer);
    const auto failed = writer->write(bytes_of(std::string(3 * FileWriter::kWriteBytes, 'x')));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message() == (dir / kTarget) + ": cannot write: no space left on device");
    const std::size_t calls = seam.seen.size();
    CHECK_FALSE(writer->write(bytes_of("more")));
    CHECK_FALSE(writer->pad_to(FileWriter::kWriteBytes * 3));
    CHECK_FALSE(writer->advance(1));
    CHECK_FALSE(writer->commit());
    CHECK(seam.seen.size() == calls);
    Names expected = before;
    std::erase(expected, kTemporary);
    CHECK(dir.names() == expected);
  }
}

TEST_CASE("a write that takes nothing is an error and not an endless loop") {
  const TempDir dir;
  const CallSeam seam(
      [](const SeenCall& call) { return Verdict{.at_most = call.name == "pwrite" ? 0 : -1}; });
  const auto done = write_all(dir / kTarget, "new");
  REQUIRE_FALSE(done);
  CHECK(done.error().message() == (dir / kTarget) + ": cannot write: input/output error");
  CHECK(dir.names().empty());
}

TEST_CASE("short writes are carried on with") {
  const TempDir dir;
  const CallSeam seam(
      [](const SeenCall& call) { return Verdict{.at_most = call.name == "pwrite" ? 65'537 : -1}; });
  REQUIRE(write_all(dir / kTarget, new_bytes()));
  CHECK(read_file(dir / kTarget) == new_bytes());
}

TEST_CASE("a directory that is never synced is no failure") {
  const TempDir dir;
  int syncs = 0;
  const CallSeam seam([&](const SeenCall& call) {
    return Verdict{.error = call.name == "fsync" && ++syncs == 2 ? EINVAL : 0};
  });
  CHECK(write_all(dir / kTarget, "new"));
  CHECK(syncs == 2);
}

TEST_CASE("a file system without locks is written to all the same") {
  for (const Scenario& scenario : kScenarios) {
    if (scenario.has_stale_temporary) continue;
    CAPTURE(scenario.name);
    const TempDir dir;
    tests::set_up(scenario, dir);
    const CallSeam seam([&](const SeenCall& call) {
      return call.name == "flock" ? Verdict{.error = ENOSYS} : kernel_of(scenario, call);
    });
    CHECK(write_all(dir / kTarget, new_bytes()));
    CHECK(read_file(dir / kTarget) == new_bytes());
    CHECK(dir.names() == Names{kTarget});
  }
}

TEST_CASE("without locks nobody can tell a dead writer's temporary, and it stays") {
  const TempDir dir;
  tests::write_file(dir / kTemporary, "perhaps at work");
  const CallSeam seam(
      [&](const SeenCall& call) { return Verdict{.error = call.name == "flock" ? ENOLCK : 0}; });
  const auto done = write_all(dir / kTarget, "new");
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == ErrorCode::kIo);
  CHECK(done.error().message().find("`.model.wmap.weightmap-tmp` is in the way") !=
        std::string::npos);
  CHECK(read_file(dir / kTemporary) == "perhaps at work");
  CHECK(dir.names() == Names{kTemporary});
}

sigset_t blocked_signals() {
  sigset_t blocked;
  sigemptyset(&blocked);
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return blocked;
}

TEST_CASE("signals are held back for the last step only") {
  for (const bool fails : {false, true}) {
    CAPTURE(fails);
    const TempDir dir;
    tests::write_file(dir / kTarget, old_bytes());
    int held = 0;
    const CallSeam seam([&](const SeenCall& call) {
      const sigset_t blocked = blocked_signals();
      const bool holds = sigismember(&blocked, SIGTERM) == 1 &&
                         sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGHUP) == 1;
      if (holds) ++held;
      if (call.name == "link_at" || call.name == "rename_at") CHECK(holds);
      if (call.name == "pwrite" || call.name == "fsync") CHECK_FALSE(holds);
      return Verdict{.error = fails && call.name == "rename_at" ? EIO : 0};
    });
    CHECK(write_all(dir / kTarget, "new").has_value() == !fails);
    CHECK(held >= 2);
    const sigset_t after = blocked_signals();
    CHECK(sigismember(&after, SIGTERM) == 0);
    CHECK(sigismember(&after, SIGINT) == 0);
    CHECK(sigismember(&after, SIGHUP) == 0);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
