// SPDX-License-Identifier: Apache-2.0
// A child process writes and is killed before or after each of its system calls.
#include <algorithm>
#include <csignal>
#include <string>
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

using tests::CallSeam;
using tests::in_child;
using tests::kernel_of;
using tests::kScenarios;
using tests::kTarget;
using tests::kTemporary;
using tests::new_bytes;
using tests::old_bytes;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::was_killed_by;
using tests::write_all;

using Names = std::vector<std::string>;

bool has(const Names& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

Names calls_of(const Scenario& scenario) {
  const TempDir dir;
  tests::set_up(scenario, dir);
  const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
  REQUIRE(write_all(dir / kTarget, new_bytes()));
  return seam.names();
}

// Writes in a child that gets the signal at its call of that number.
int write_and_die(const Scenario& scenario,
                  const TempDir& dir,
                  std::size_t at_call,
                  bool after_the_call,
                  int signal_number) {
  return in_child([&] {
    ::signal(signal_number, SIG_DFL);  // the test framework's handler would report a crash
    std::size_t number = 0;
    const CallSeam seam([&](const SeenCall& call) {
      Verdict verdict = kernel_of(scenario, call);
      if (number++ != at_call) return verdict;
      if (!after_the_call) ::raise(signal_number);
      verdict.killed_after = after_the_call;
      return verdict;
    });
    return write_all(dir / kTarget, new_bytes()).has_value();
  });
}

// The old bytes or the new ones, never anything in between; no name that is not known.
void check_wreck(const Scenario& scenario, const TempDir& dir) {
  const Names names = dir.names();
  for (const std::string& name : names) {
    const bool known = name == kTarget || name == kTemporary;
    CHECK_MESSAGE(known, name);
  }
  if (!has(names, kTarget)) {
    CHECK_FALSE(scenario.target_exists);
    return;
  }
  const std::string bytes = read_file(dir / kTarget);
  const bool whole = bytes == new_bytes() || (scenario.target_exists && bytes == old_bytes());
  CHECK(whole);
}

// With O_TMPFILE only a writer between the link and the rename has a name to leave behind.
bool may_leave_temporary(const Scenario& scenario, const Names& calls, std::size_t at_call) {
  if (!scenario.has_unnamed_files) return true;
  const auto link = std::ranges::find(calls, "link_at") - calls.begin();
  const auto unlink = std::ranges::find(calls, "unlink_at") - calls.begin();
  const bool stale_is_still_there =
      scenario.has_stale_temporary && at_call <= static_cast<std::size_t>(unlink);
  return stale_is_still_there ||
         (scenario.target_exists && at_call >= static_cast<std::size_t>(link));
}

TEST_SUITE_BEGIN("io/file_writer_kill");

TEST_CASE("a killed writer leaves the target whole, and the next one clears up") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const Names calls = calls_of(scenario);
    for (std::size_t at_call = 0; at_call < calls.size(); ++at_call) {
      for (const bool after_the_call : {false, true}) {
        CAPTURE(calls[at_call]);
        CAPTURE(at_call);
        CAPTURE(after_the_call);
        const TempDir dir;
        tests::set_up(scenario, dir);
        REQUIRE(
            was_killed_by(write_and_die(scenario, dir, at_call, after_the_call, SIGKILL), SIGKILL));
        check_wreck(scenario, dir);
        if (has(dir.names(), kTemporary)) CHECK(may_leave_temporary(scenario, calls, at_call));
        const auto again = write_all(dir / kTarget, "by the next writer");
        REQUIRE_MESSAGE(again.has_value(), again.error().message());
        CHECK(read_file(dir / kTarget) == "by the next writer");
        CHECK(dir.names() == Names{kTarget});
      }
    }
  }
}

TEST_CASE("a signal that ends a program waits for the end of the last step") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    for (const Scenario& scenario : kScenarios) {
      if (!scenario.has_unnamed_files || !scenario.target_exists) continue;
      CAPTURE(signal);
      CAPTURE(scenario.name);
      const Names calls = calls_of(scenario);
      const auto rename = std::ranges::find(calls, "rename_at") - calls.begin();
      const TempDir dir;
      tests::set_up(scenario, dir);
      const int status =
          write_and_die(scenario, dir, static_cast<std::size_t>(rename), false, signal);
      CHECK(was_killed_by(status, signal));
      CHECK(dir.names() == Names{kTarget});
      CHECK(read_file(dir / kTarget) == new_bytes());
    }
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
