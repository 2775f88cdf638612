// SPDX-License-Identifier: Apache-2.0
// All that writes a file, end to end: every system call on the way fails once, in every way, or is
// the last one, and the directory is looked at. What the writer alone does is held to more in
// tests/io/file_writer_faults_test.cpp and file_writer_kill_test.cpp.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/export.h"
#include "weightmap/weight_file.h"

#include "io/call_seam.h"
#include "io/writer_scenario.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::CallSeam;
using tests::kScenarios;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using Names = std::vector<std::string>;

constexpr char kFixture[] = WEIGHTMAP_TEST_DATA "/checkpoints/torch-2.13/state_dict.pt";

template <typename T>
Result<void> outcome_of(const Result<T>& result) {
  return result ? Result<void>() : result.error();
}

using Progress = std::function<bool(std::uint64_t, std::uint64_t)>;

template <typename Export>
Result<void> exported(const Export& run,
                      const TempDir& dir,
                      const std::string& target,
                      const Progress& progress) {
  const auto file = WeightFile::open(dir / "source.wmap");
  if (!file) return file.error();
  ExportOptions options{.replace_any = true, .progress = progress};
  options.safetensors.drop_extras = true;
  return outcome_of(run(*file, target, options));
}

// Writes `target` from what lies beside it: source.pt, source.wmap.
struct Operation {
  std::string name;
  std::string target;
  Result<void> (*run)(const TempDir& dir, const std::string& target, const Progress& progress);
};

const Operation kOperations[] = {
    {"convert", "target.wmap",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       ConvertOptions options;
       options.replace_any = true;
       options.progress = progress;
       return outcome_of(convert_checkpoint(dir / "source.pt", target, options));
     }},
    {"convert a weight file", "target.wmap",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       ConvertOptions options;
       options.replace_any = true;
       options.progress = progress;
       return outcome_of(convert_checkpoint(dir / "source.wmap", target, options));
     }},
    {"convert with a base", "target.wmap",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       ConvertOptions options;
       options.base = dir / "source.wmap";
       options.replace_any = true;
       options.progress = progress;
       return outcome_of(convert_checkpoint(dir / "source.pt", target, options));
     }},
    {"convert to shards", "target.wmap",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       ConvertOptions options;
       options.max_shard_bytes = 1000;
       options.replace_any = true;
       options.progress = progress;
       return outcome_of(convert_checkpoint(dir / "source.pt", target, options));
     }},
    {"adopt", "target.wmap",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       AdoptOptions options;
       options.replace_any = true;
       options.progress = progress;
       return outcome_of(adopt_checkpoint(dir / "source.pt", target, options));
     }},
    {"export as torch.save", "target.pt",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       return exported(export_torch, dir, target, progress);
     }},
    {"export as safetensors", "target.safetensors",
     [](const TempDir& dir, const std::string& target, const Progress& progress) {
       return exported(export_safetensors, dir, target, progress);
     }},
};

// One writing: the directory before it, and what it should become.
class Trial {
 public:
  Trial(const Operation& operation, const Scenario& scenario)
      : operation_(operation), scenario_(scenario) {
    std::filesystem::copy(kFixture, dir_ / "source.pt");
    static const std::string weight_file = converted_fixture();
    tests::write_file(dir_ / "source.wmap", weight_file);
    if (scenario.target_exists) tests::write_file(target(), tests::old_bytes());
    if (scenario.has_stale_temporary) tests::write_file(dir_ / temporary(), "of a dead writer");
    before_ = dir_.names();
  }

  Result<void> run(const Progress& progress = {}) const {
    return operation_.run(dir_, target(), progress);
  }

  // As the kernel of the scenario has it; waiting for the disk is left out.
  Verdict kernel(const SeenCall& call) const {
    Verdict verdict = tests::kernel_of(scenario_, call);
    verdict.pretended = call.name == "fsync" || call.name == "sync_file_range";
    return verdict;
  }

  std::string new_bytes() const { return read_file(target()); }

  void check_is_new(const std::string& expected) const {
    CHECK(read_file(target()) == expected);
    Names names{"source.pt", "source.wmap", operation_.target};
    std::ranges::sort(names);
    Names found = dir_.names();
    std::erase_if(found, is_shard);
    CHECK(found == names);
    if (names.back() == "target.wmap") CHECK(WeightFile::open(target())->verify()->ok());
  }

  std::string target() const { return dir_ / operation_.target; }

  // The old target, and no name that was not there but those of whole shards.
  void check_is_old() const {
    if (scenario_.target_exists) CHECK(read_file(target()) == tests::old_bytes());
    for (const std::string& name : dir_.names()) {
      if (is_shard(name)) continue;
      CHECK_MESSAGE(std::ranges::find(before_, name) != before_.end(), name);
    }
    check_shards();
  }

  void check_shards() const {
    for (const std::string& name : dir_.names()) {
      if (is_shard(name)) CHECK_MESSAGE(WeightFile::open(dir_ / name)->verify()->ok(), name);
    }
  }

  // The old target or the new one, never anything in between; at most a temporary more.
  void check_is_whole(const std::string& expected) const {
    const Names names = dir_.names();
    CHECK(std::ranges::all_of(names, [&](const std::string& name) { return is_known(name); }));
    if (std::filesystem::exists(target())) {
      const std::string bytes = read_file(target());
      const bool is_whole =
          bytes == expected || (scenario_.target_exists && bytes == tests::old_bytes());
      CHECK(is_whole);
    } else {
      CHECK_FALSE(scenario_.target_exists);
    }
    check_shards();
  }

 private:
  static std::string converted_fixture() {
    const TempDir dir;
    REQUIRE(convert_checkpoint(kFixture, dir / "x.wmap"));
    return read_file(dir / "x.wmap");
  }
  bool is_known(const std::string& name) const {
    return name == operation_.target || name == temporary() || is_shard(name) ||
           std::ranges::find(before_, name) != before_.end();
  }
  static bool is_shard(const std::string& name) { return name.starts_with("target-"); }
  std::string temporary() const { return "." + operation_.target + ".weightmap-tmp"; }

  const Operation& operation_;
  const Scenario& scenario_;
  TempDir dir_;
  Names before_;
};

// A writing in which nothing fails.
struct Good {
  std::vector<SeenCall> calls;
  std::string bytes;
};

Good good(const Operation& operation, const Scenario& scenario) {
  const Trial trial(operation, scenario);
  Good result;
  {
    CallSeam seam([&](const SeenCall& call) { return trial.kernel(call); });
    const auto done = trial.run();
    REQUIRE_MESSAGE(done, (done ? "" : done.error().message()));
    result.calls = std::move(seam.seen);
  }
  result.bytes = trial.new_bytes();
  trial.check_is_new(result.bytes);
  return result;
}

// An error number, or, when 0, no more than a few bytes at a time.
struct Fault {
  std::string_view name;
  int error;
};
constexpr Fault kFaults[] = {{"a full disk", ENOSPC},
                             {"a broken device", EIO},
                             {"an interruption", EINTR},
                             {"a few bytes", 0}};

bool is_write(const SeenCall& call) {
  return call.name == "pwrite";
}

bool must_succeed(const SeenCall& call, const Fault& fault) {
  if (fault.error == 0) return true;
  const bool is_repeated = call.name != "link_at" && call.name != "rename_at" &&
                           call.name != "unlink_at" && call.name != "sync_file_range";
  return fault.error == EINTR && is_repeated;
}

bool must_fail(const SeenCall& call, const Fault& fault) {
  const bool is_needed = call.name == "pwrite" || call.name == "pread" || call.name == "fsync" ||
                         call.name == "link_at" || call.name == "rename_at";
  return is_needed && fault.error != 0 && !must_succeed(call, fault);
}

// What could not be read once cannot be read again.
bool reads_the_same(const SeenCall& call, const std::optional<SeenCall>& unreadable) {
  return unreadable && call.name == "pread" && call.descriptor == unreadable->descriptor &&
         call.offset <= unreadable->offset && unreadable->offset < call.offset + call.size;
}

void run_with_fault(const Trial& trial, const Good& good, std::size_t failing, const Fault& fault) {
  std::size_t number = 0;
  std::optional<SeenCall> unreadable;
  Result<void> done;
  {
    const CallSeam seam([&](const SeenCall& call) {
      const bool fails = number++ == failing || reads_the_same(call, unreadable);
      if (!fails) return trial.kernel(call);
      if (call.name == "pread" && must_fail(call, fault)) unreadable = call;
      return Verdict{.error = fault.error, .at_most = fault.error == 0 ? 5 : -1};
    });
    done = trial.run();
  }
  CHECK(number > failing);
  const std::string message = done ? "" : done.error().message();
  CAPTURE(message);
  if (must_succeed(good.calls[failing], fault)) CHECK(done);
  if (must_fail(good.calls[failing], fault)) CHECK_FALSE(done);
  const bool is_written = message.starts_with(trial.target() + ": is written, but its directory");
  done || is_written ? trial.check_is_new(good.bytes) : trial.check_is_old();
}

// Each operation in each situation, and what it does there when nothing fails.
template <typename Look>
void in_every_situation(const Look& look) {
  for (const Operation& operation : kOperations) {
    CAPTURE(operation.name);
    for (const Scenario& scenario : kScenarios) {
      CAPTURE(scenario.name);
      look(operation, scenario, good(operation, scenario));
    }
  }
}

void run_with_room_for(std::ptrdiff_t writes, const Trial& trial) {
  std::ptrdiff_t written = 0;
  const CallSeam seam([&](const SeenCall& call) {
    if (is_write(call) && written++ >= writes) return Verdict{.error = ENOSPC};
    return trial.kernel(call);
  });
  const auto done = trial.run();
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == ErrorCode::kIo);
  trial.check_is_old();
}

int run_and_die(const Trial& trial, std::size_t after_call) {
  return tests::in_child([&] {
    std::size_t number = 0;
    const CallSeam seam([&](const SeenCall& call) {
      Verdict verdict = trial.kernel(call);
      verdict.killed_after = number++ == after_call;
      return verdict;
    });
    return trial.run().has_value();
  });
}

void check_clears_up(const Trial& trial, const Good& good) {
  const CallSeam seam([&](const SeenCall& call) { return trial.kernel(call); });
  const auto again = trial.run();
  REQUIRE_MESSAGE(again, (again ? "" : again.error().message()));
  trial.check_is_new(good.bytes);
}

// What is done until progress is told for the first time, which stops the work.
std::vector<std::string> calls_before_progress(const Trial& trial) {
  CallSeam seam([&](const SeenCall& call) { return trial.kernel(call); });
  std::vector<std::string> names;
  const auto done = trial.run([&](std::uint64_t, std::uint64_t) {
    names = seam.names();
    return false;
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == ErrorCode::kCancelled);
  return names;
}

TEST_SUITE_BEGIN("convert/target_faults");

TEST_CASE("a call that fails leaves the old target or the whole new one") {
  in_every_situation([](const auto& operation, const auto& scenario, const Good& without) {
    REQUIRE(without.calls.size() >= 10);
    for (std::size_t failing = 0; failing < without.calls.size(); ++failing) {
      CAPTURE(without.calls[failing].name);
      CAPTURE(failing);
      for (const Fault& fault : kFaults) {
        CAPTURE(fault.name);
        run_with_fault(Trial(operation, scenario), without, failing, fault);
      }
    }
  });
}

TEST_CASE("a disk that is full from some write on leaves the old target") {
  in_every_situation([](const auto& operation, const auto& scenario, const Good& without) {
    const auto writes = std::ranges::count_if(without.calls, is_write);
    REQUIRE(writes > 0);
    for (std::ptrdiff_t room = 0; room < writes; ++room) {
      CAPTURE(room);
      run_with_room_for(room, Trial(operation, scenario));
    }
  });
}

TEST_CASE("a process that is killed leaves a whole target, and the next one clears up") {
  in_every_situation([](const auto& operation, const auto& scenario, const Good& without) {
    for (std::size_t last = 0; last < without.calls.size(); ++last) {
      CAPTURE(without.calls[last].name);
      CAPTURE(last);
      const Trial trial(operation, scenario);
      REQUIRE(tests::was_killed_by(run_and_die(trial, last), SIGKILL));
      trial.check_is_whole(without.bytes);
      check_clears_up(trial, without);
    }
  });
}

TEST_CASE("progress is told for the first time before there is anything to clear up") {
  in_every_situation([](const auto& operation, const auto& scenario, const Good&) {
    const Trial trial(operation, scenario);
    for (const std::string& name : calls_before_progress(trial))
      CHECK_MESSAGE((name == "open_at" || name == "pread"), name);
    trial.check_is_old();
  });
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
