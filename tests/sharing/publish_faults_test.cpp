// SPDX-License-Identifier: Apache-2.0
// Every system call of a publish fails once, or is the last before the process is killed.
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/generation.h"
#include "weightmap/live.h"
#include "weightmap/publish.h"

#include "io/call_seam.h"
#include "sharing/generations.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::CallSeam;
using tests::in_child;
using tests::mark_at;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::was_killed_by;
using tests::write_marked;
using Names = std::vector<std::string>;

constexpr std::int64_t kOld = 1;
constexpr std::int64_t kNew = 2;
constexpr std::int64_t kNext = 3;

struct Situation {
  const char* name;
  bool has_block;
  bool has_unnamed_files;
};
constexpr Situation kSituations[] = {{"the first publish", false, true},
                                     {"the first publish, without O_TMPFILE", false, false},
                                     {"a later publish", true, true}};

void set_up(const Situation& situation, const TempDir& dir) {
  write_marked(dir / "m.wmap", kOld);
  if (situation.has_block) {
    write_marked(dir / "new.wmap", kOld);
    REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  }
  write_marked(dir / "new.wmap", kNew);
}

Verdict kernel_of(const Situation& situation, const SeenCall& call) {
  const bool refused = !situation.has_unnamed_files && tests::asks_for_unnamed_file(call);
  return {.error = refused ? EOPNOTSUPP : 0};
}

std::vector<SeenCall> calls_of(const Situation& situation) {
  const TempDir dir;
  set_up(situation, dir);
  const CallSeam seam([&](const SeenCall& call) { return kernel_of(situation, call); });
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  return seam.seen;
}

// What readers see: who has the old file open, and who comes now. Both see one and the same.
void check_readers(const LiveFile& reader, const TempDir& dir) {
  const auto there = mark_at(dir / "m.wmap");
  const bool is_one = there == kOld || there == kNew;
  CHECK(is_one);
  CHECK(tests::mark_of(reader.current()->file) == there);
  const auto late = LiveFile::open(dir / "m.wmap");
  REQUIRE(late);
  CHECK(tests::mark_of(late->current()->file) == there);
  CHECK(late->current()->generation == reader.current()->generation);
}

// A dead publisher's leavings are the next one's to clear up.
void check_next_publish(const LiveFile& reader, const TempDir& dir) {
  const std::uint64_t before = reader.current()->generation;
  write_marked(dir / "new.wmap", kNext);
  const auto report = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE_MESSAGE(report, report.error().message());
  CHECK(report->generation > before);
  CHECK(mark_at(dir / "m.wmap") == kNext);
  CHECK(tests::mark_of(reader.current()->file) == kNext);
  CHECK(reader.current()->generation == report->generation);
  CHECK(dir.names() == Names{"m.wmap", "m.wmap.generation"});
  const auto state = generation_state(dir / "m.wmap");
  REQUIRE(state);
  REQUIRE(state->has_value());
  CHECK((*state)->generation == report->generation);
  CHECK_FALSE((*state)->is_publishing);
}

TEST_SUITE_BEGIN("sharing/publish_faults");

TEST_CASE("whatever call fails, the name leads to the old file or to the new one") {
  for (const Situation& situation : kSituations) {
    CAPTURE(situation.name);
    const std::vector<SeenCall> calls = calls_of(situation);
    for (std::size_t failing = 0; failing < calls.size(); ++failing) {
      for (const int error : {EIO, EACCES}) {
        CAPTURE(calls[failing].name);
        CAPTURE(failing);
        CAPTURE(error);
        const TempDir dir;
        set_up(situation, dir);
        const auto reader = LiveFile::open(dir / "m.wmap");
        REQUIRE(reader);
        std::optional<Result<PublishReport>> report;
        {
          std::size_t number = 0;
          const CallSeam seam([&](const SeenCall& call) {
            return number++ == failing ? Verdict{.error = error} : kernel_of(situation, call);
          });
          report.emplace(publish(dir / "new.wmap", dir / "m.wmap"));
        }
        const bool is_new = mark_at(dir / "m.wmap") == kNew;
        const bool says_so =
            *report || report->error().message().find("is published") != std::string::npos;
        CHECK(is_new == says_so);
        check_readers(*reader, dir);
        check_next_publish(*reader, dir);
      }
    }
  }
}

TEST_CASE("whenever a publisher is killed, readers see its file or the one before, and go on") {
  for (const Situation& situation : kSituations) {
    CAPTURE(situation.name);
    const std::vector<SeenCall> calls = calls_of(situation);
    bool was_healed = false;
    for (std::size_t last = 0; last < calls.size(); ++last) {
      CAPTURE(calls[last].name);
      CAPTURE(last);
      const TempDir dir;
      set_up(situation, dir);
      const auto reader = LiveFile::open(dir / "m.wmap");
      REQUIRE(reader);
      const int status = in_child([&] {
        std::size_t number = 0;
        const CallSeam seam([&](const SeenCall& call) {
          Verdict verdict = kernel_of(situation, call);
          verdict.killed_after = number++ == last;
          return verdict;
        });
        return publish(dir / "new.wmap", dir / "m.wmap").has_value();
      });
      REQUIRE(was_killed_by(status, SIGKILL));
      const auto state = generation_state(dir / "m.wmap");
      REQUIRE(state);
      was_healed |= state->has_value() && (*state)->is_publishing;
      check_readers(*reader, dir);
      check_next_publish(*reader, dir);
    }
    CHECK(was_healed);  // else the moments that matter most were not among these
  }
}

TEST_CASE("what a killed publisher left becomes a generation, which the next one tells") {
  const TempDir dir;
  set_up(kSituations[2], dir);
  const int status = in_child([&] {
    const CallSeam seam(
        [](const SeenCall& call) { return Verdict{.killed_after = call.name == "rename_at"}; });
    return publish(dir / "new.wmap", dir / "m.wmap").has_value();
  });
  REQUIRE(was_killed_by(status, SIGKILL));
  const auto reader = LiveFile::open(dir / "m.wmap");
  REQUIRE(reader);
  CHECK(reader->current()->generation == 2);  // the first was published in order
  write_marked(dir / "new.wmap", kNext);
  const auto report = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE(report);
  CHECK(report->healed);
  CHECK(report->generation == 3);
}

TEST_CASE("whoever waits when the publisher dies gets what it left") {
  const TempDir dir;
  set_up(kSituations[2], dir);
  const auto reader = LiveFile::open(dir / "m.wmap");
  REQUIRE(reader);
  const std::uint64_t before = reader->current()->generation;
  const int status = in_child([&] {
    const CallSeam seam(
        [](const SeenCall& call) { return Verdict{.killed_after = call.name == "rename_at"}; });
    return publish(dir / "new.wmap", dir / "m.wmap").has_value();
  });
  REQUIRE(was_killed_by(status, SIGKILL));
  const auto next = reader->wait_for_next(before, std::chrono::hours(10));
  REQUIRE(next != nullptr);
  CHECK(tests::mark_of(next->file) == kNew);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
