// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "support/process.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using Calls = std::vector<std::uint64_t>;

constexpr int kSystemCallStop = SIGTRAP | 0x80;  // with PTRACE_O_TRACESYSGOOD

// Stops the child before `body` begins, for its parent to look on.
template <typename Body>
[[noreturn]] void run_traced(const Body& body) {
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
  ::kill(::getpid(), SIGSTOP);
  body();
  ::_exit(0);
}

std::optional<std::uint64_t> entered_call(pid_t child) {
  __ptrace_syscall_info info{};
  const long size = ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
  if (size <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return std::nullopt;
  return info.entry.nr;
}

// The system calls that the body makes in a process of its own, by their numbers and in their
// order; nothing where processes may not look at others.
template <typename Body>
std::optional<Calls> system_calls_of(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) run_traced(body);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return std::nullopt;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  Calls calls;
  while (WIFSTOPPED(status)) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != kSystemCallStop) continue;
    if (const auto call = entered_call(child)) calls.push_back(*call);
  }
  if (!calls.empty() && calls.back() == SYS_exit_group) calls.pop_back();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? calls : Calls{};
}

std::string numbers_text(const Calls& calls) {
  std::string text;
  for (const std::uint64_t call : calls)
    text += std::to_string(call) + " ";
  return text;
}

std::size_t times(const Calls& calls, std::uint64_t wanted) {
  return static_cast<std::size_t>(std::ranges::count(calls, wanted));
}

bool is_in_ci() {
  const char* const ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true";
}

TEST_SUITE_BEGIN("counts/system calls");

TEST_CASE("open and bind are at most twelve system calls, whatever the number of tensors") {
  for (const std::size_t count : {std::size_t{10}, std::size_t{1'000}, std::size_t{100'000}}) {
    CAPTURE(count);
    const tests::TempDir dir;
    const std::string path = dir / "model.wmap";
    const tests::SyntheticModel model = tests::expert_model(count);
    // By a child: memory that this process had freed would be taken without a system call.
    REQUIRE(tests::exited_well(tests::in_child([&] {
      tests::write_weight_file(model, path);
      return true;
    })));
    const tests::FreeSlots slots(model);

    const auto calls = system_calls_of([&] {
      const auto file = WeightFile::open(path);
      if (!file) ::_exit(1);
      const LoadReport report = bind_slots(slots.all(), *file);
      ::_exit(report.ok() ? 0 : 1);  // closing is not part of it
    });
    if (!calls && !is_in_ci()) {
      MESSAGE("SKIPPED: this process may not trace another");
      return;
    }
    REQUIRE(calls);
    CAPTURE(numbers_text(*calls));
    CHECK(times(*calls, SYS_openat) == 1);
    CHECK(times(*calls, SYS_pread64) == 2);  // header, index
    CHECK(calls->size() <= 12);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
