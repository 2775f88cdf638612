// SPDX-License-Identifier: Apache-2.0
// What reaches the system: which calls, in which order, with which flags.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "io/checked_writer.h"
#include "io/file_writer.h"
#include "io/writer_scenario.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::check_done;
using tests::kernel_of;
using tests::kScenarios;
using tests::kTarget;
using tests::noise;
using tests::open_descriptors;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_all;
using tests::writer_of;

using Names = std::vector<std::string>;

constexpr std::size_t kStep = FileWriter::kWriteBytes;

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

TEST_SUITE_BEGIN("io/file_writer_calls");

TEST_CASE("a new file has the mode that the umask leaves, one that replaces another has its mode") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    tests::set_up(scenario, dir);
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    std::optional<mode_t> before_mode;
    if (std::filesystem::exists(dir / kTarget)) before_mode = mode_of(dir / kTarget);
    const mode_t before = ::umask(0);
    check_done(write_all(dir / kTarget, "new"));
    CHECK(mode_of(dir / kTarget) == before_mode.value_or(0666));
    std::filesystem::remove(dir / kTarget);
    ::umask(027);
    check_done(write_all(dir / kTarget, "new"));
    CHECK(mode_of(dir / kTarget) == 0640);
    ::umask(0);
    REQUIRE(::chmod((dir / kTarget).c_str(), 0400) == 0);
    check_done(write_all(dir / kTarget, "newer"));
    CHECK(mode_of(dir / kTarget) == 0400);
    ::umask(before);
  }
}

TEST_CASE("every write ends on a 2 MiB boundary of the file, or ends the file") {
  const TempDir dir;
  const std::size_t size = 3 * kStep + 777;
  const std::string bytes = noise(size);
  for (const std::size_t piece : {std::size_t{4'099}, std::size_t{700'001}, kStep, size}) {
    CAPTURE(piece);
    const CallSeam seam;
    FileWriter writer = writer_of(dir / "out", size);
    check_done(writer.pad_to(128));
    for (std::size_t at = 128; at < size; at += piece) {
      check_done(writer.write(bytes_of(bytes).subspan(at, std::min(piece, size - at))));
    }
    check_done(writer.commit());
    const auto writes = seam.all("pwrite");
    CHECK(writes.size() == 4);
    std::int64_t expected_offset = 0;
    for (const SeenCall& call : writes) {
      CHECK(call.offset == expected_offset);
      expected_offset = call.offset + call.size;
      const bool ends_well =
          expected_offset % std::int64_t{kStep} == 0 || expected_offset == std::int64_t{size};
      CHECK(ends_well);
    }
    CHECK(read_file(dir / "out").substr(128) == bytes.substr(128));
  }
}

TEST_CASE("the file is allocated as a whole before the first byte is written") {
  const TempDir dir;
  const CallSeam seam;
  check_done(write_all(dir / "out", noise(100'000)));
  const auto allocations = seam.all("fallocate");
  REQUIRE(allocations.size() == 1);
  CHECK(allocations[0].offset == 0);
  CHECK(allocations[0].size == 100'000);
  const Names names = seam.names();
  CHECK(std::ranges::find(names, "fallocate") < std::ranges::find(names, "pwrite"));
}

TEST_CASE("a file system that cannot allocate is written to all the same") {
  for (const int error_number : {EOPNOTSUPP, ENOSYS}) {
    CAPTURE(error_number);
    const TempDir dir;
    const CallSeam seam([&](const SeenCall& call) {
      return Verdict{.error = call.name == "fallocate" ? error_number : 0};
    });
    check_done(write_all(dir / "out", tests::new_bytes()));
    CHECK(read_file(dir / "out") == tests::new_bytes());
  }
}

TEST_CASE("the bytes are on the disk before the name, and the name before the commit returns") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    tests::set_up(scenario, dir);
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    check_done(write_all(dir / kTarget, "new"));
    const Names names = seam.names();
    const auto last_write = std::ranges::find(names.rbegin(), names.rend(), "pwrite").base() - 1;
    Names after(last_write, names.end());
    if (!scenario.has_unnamed_files) {
      CHECK(after == Names{"pwrite", "fsync", "rename_at", "fsync"});
    } else if (scenario.target_exists) {
      CHECK(after == Names{"pwrite", "fsync", "link_at", "rename_at", "fsync"});
    } else {
      CHECK(after == Names{"pwrite", "fsync", "link_at", "fsync"});
    }
    const auto syncs = seam.all("fsync");
    CHECK(syncs[0].descriptor == seam.all("pwrite")[0].descriptor);
    CHECK(syncs[1].descriptor != syncs[0].descriptor);
  }
}

TEST_CASE("nothing is synced that the caller does not want synced") {
  const TempDir dir;
  const CallSeam seam;
  check_done(write_all(dir / "out", "new", false));
  CHECK(seam.all("fsync").empty());
}

TEST_CASE("every 64 MiB are on their way to the disk while the next are written") {
  const std::int64_t mib = 1 << 20;
  const std::string piece(10U << 20U, 'x');
  for (const bool sync : {true, false}) {
    CAPTURE(sync);
    const TempDir dir;
    const CallSeam seam([](const SeenCall& call) {
      return Verdict{.pretended = call.name == "pwrite" || call.name == "fallocate"};
    });
    FileWriter writer = writer_of(dir / "out", 140U << 20U, sync);
    for (int i = 0; i < 14; ++i)
      check_done(writer.write(bytes_of(piece)));
    check_done(writer.commit());
    const auto begun = seam.all("sync_file_range");
    REQUIRE(begun.size() == (sync ? 2U : 0U));
    for (std::size_t i = 0; i < begun.size(); ++i) {
      CHECK(begun[i].offset == std::int64_t(i) * 64 * mib);
      CHECK(begun[i].size == 64 * mib);
    }
  }
}

TEST_CASE("every file is opened so that no program that is started inherits it") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    tests::set_up(scenario, dir);
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    check_done(write_all(dir / kTarget, "new"));
    const auto opened = seam.all("open_at");
    CHECK(opened.size() >= 3);
    for (const SeenCall& call : opened)
      CHECK((call.flags & O_CLOEXEC) != 0);
  }
}

TEST_CASE("no descriptor is left open") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    tests::set_up(scenario, dir);
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    const std::size_t before = open_descriptors();
    check_done(write_all(dir / kTarget, "new"));
    CHECK(open_descriptors() == before);
    {
      FileWriter first = writer_of(dir / kTarget, 3);
      FileWriter second = writer_of(dir / "other", 3);
      CHECK(open_descriptors() > before);
      first = std::move(second);
    }
    CHECK(open_descriptors() == before);
    CHECK_FALSE(FileWriter::create(dir.path(), {.size_bytes = 1}));
    CHECK(open_descriptors() == before);
    CHECK(dir.names() == Names{kTarget});
  }
}

TEST_CASE("a program without /proc writes through the temporary's name") {
  const TempDir dir;
  constexpr int kNotAllowed = 2;
  const int status = tests::in_child([&] {
    const auto change_root = [&] { return ::chroot(dir.path().c_str()) == 0; };
    const bool changed = change_root() || (::unshare(CLONE_NEWUSER) == 0 && change_root());
    if (!changed) ::_exit(kNotAllowed);
    return write_all("/model.wmap", "first").has_value() &&
           write_all("/model.wmap", "second").has_value();
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) {
    MESSAGE("SKIPPED: this user may not change the root directory");
    return;
  }
  CHECK(tests::exited_well(status));
  CHECK(dir.names() == Names{kTarget});
  CHECK(read_file(dir / kTarget) == "second");
}
TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
