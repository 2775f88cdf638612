// SPDX-License-Identifier: Apache-2.0
// Several writers of one target, and things that lie where its temporary goes.
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
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
using tests::noise;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_all;
using tests::write_file;

using Names = std::vector<std::string>;

constexpr Scenario kUnnamed = kScenarios[0];
constexpr Scenario kNamed = kScenarios[3];

FileWriter filled_writer(const std::string& target, std::string_view bytes) {
  auto writer = FileWriter::create(target, {.size_bytes = bytes.size(), .sync = false});
  REQUIRE_MESSAGE(writer.has_value(), writer.error().message());
  REQUIRE(writer->write(bytes_of(bytes)));
  return std::move(*writer);
}

void check_refused(const Result<void>& done, const std::string& target, std::string_view words) {
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == ErrorCode::kIo);
  CHECK(done.error().message().starts_with(target + ": "));
  CHECK_MESSAGE(done.error().message().find(words) != std::string::npos, done.error().message());
}

TEST_SUITE_BEGIN("io/file_writer_rivals");

TEST_CASE("of two writers with unnamed files the first to finish wins, the other is told") {
  for (const bool target_exists : {false, true}) {
    CAPTURE(target_exists);
    const TempDir dir;
    if (target_exists) write_file(dir / kTarget, "old");
    FileWriter one = filled_writer(dir / kTarget, "by one");
    FileWriter two = filled_writer(dir / kTarget, "by two");
    REQUIRE(two.commit());
    check_refused(one.commit(), dir / kTarget, "another process wrote it meanwhile");
    CHECK(read_file(dir / kTarget) == "by two");
    CHECK(dir.names() == Names{kTarget});
  }
}

TEST_CASE("a target that is gone at the commit is written again") {
  const TempDir dir;
  write_file(dir / kTarget, "old");
  FileWriter writer = filled_writer(dir / kTarget, "new");
  std::filesystem::remove(dir / kTarget);
  REQUIRE(writer.commit());
  CHECK(read_file(dir / kTarget) == "new");
  CHECK(dir.names() == Names{kTarget});
}

TEST_CASE("a writer whose file has the temporary's name keeps all others out") {
  const TempDir dir;
  write_file(dir / kTarget, "old");
  const CallSeam seam([](const SeenCall& call) { return kernel_of(kNamed, call); });
  FileWriter first = filled_writer(dir / kTarget, "by the first");
  check_refused(write_all(dir / kTarget, "by the second"), dir / kTarget,
                "another process is writing it, to `.model.wmap.weightmap-tmp`");
  CHECK(read_file(dir / kTarget) == "old");
  REQUIRE(first.commit());
  CHECK(read_file(dir / kTarget) == "by the first");
  REQUIRE(write_all(dir / kTarget, "by the second"));
  CHECK(read_file(dir / kTarget) == "by the second");
  CHECK(dir.names() == Names{kTarget});
}

TEST_CASE("writers of different targets in one directory do not meet") {
  for (const Scenario& scenario : {kUnnamed, kNamed}) {
    CAPTURE(scenario.name);
    const TempDir dir;
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    FileWriter one = filled_writer(dir / "one", "1");
    FileWriter two = filled_writer(dir / "two", "2");
    CHECK(one.commit());
    CHECK(two.commit());
    CHECK(read_file(dir / "one") == "1");
    CHECK(read_file(dir / "two") == "2");
  }
}

TEST_CASE("a writer in another process is noticed while it lives, and cleared up when it is dead") {
  const TempDir dir;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const CallSeam seam([](const SeenCall& call) { return kernel_of(kNamed, call); });
    const auto writer = FileWriter::create(dir / kTarget, {.size_bytes = 5});
    if (::write(ready[1], writer ? "y" : "n", 1) == 1) ::pause();
    ::_exit(1);
  }
  char answer = '?';
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  REQUIRE(answer == 'y');
  CHECK(dir.names() == Names{kTemporary});
  check_refused(write_all(dir / kTarget, "new"), dir / kTarget, "another process is writing it");
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(dir.names() == Names{kTemporary});
  CHECK(write_all(dir / kTarget, "new"));
  CHECK(dir.names() == Names{kTarget});
  ::close(ready[0]);
  ::close(ready[1]);
}

// What a rival does in the middle of another writer's last step.
template <typename Rival>
Result<void> commit_with_rival(FileWriter& writer, const Rival& rival) {
  bool met = false;
  const CallSeam seam([&](const SeenCall& call) {
    if (call.name == "rename_at" && !std::exchange(met, true)) rival();
    return Verdict{};
  });
  auto done = writer.commit();
  CHECK(met);
  return done;
}

TEST_CASE("a writer that begins during another's last step is told") {
  const TempDir dir;
  write_file(dir / kTarget, "old");
  FileWriter first = filled_writer(dir / kTarget, "by the first");
  CHECK(commit_with_rival(first, [&] {
    check_refused(write_all(dir / kTarget, "by the second"), dir / kTarget,
                  "another process is writing it");
  }));
  CHECK(read_file(dir / kTarget) == "by the first");
  CHECK(dir.names() == Names{kTarget});
}

TEST_CASE("a writer that ends during another's last step is told") {
  const TempDir dir;
  write_file(dir / kTarget, "old");
  FileWriter first = filled_writer(dir / kTarget, "by the first");
  FileWriter second = filled_writer(dir / kTarget, "by the second");
  CHECK(commit_with_rival(first, [&] {
    check_refused(second.commit(), dir / kTarget, "another process is writing it");
  }));
  CHECK(read_file(dir / kTarget) == "by the first");
  CHECK(dir.names() == Names{kTarget});
}

TEST_CASE("a dead writer's temporary that appears before the commit is cleared up") {
  const TempDir dir;
  write_file(dir / kTarget, "old");
  FileWriter writer = filled_writer(dir / kTarget, "new");
  write_file(dir / kTemporary, "of a writer that was killed meanwhile");
  CHECK(writer.commit());
  CHECK(read_file(dir / kTarget) == "new");
  CHECK(dir.names() == Names{kTarget});
}

// Between the creation of a file with a name and its lock, another writer takes it for a dead
// one's: the file is locked by that one, or already gone.
TEST_CASE("a writer whose temporary was taken for a dead one's leaves the name to the other") {
  for (const bool already_replaced : {false, true}) {
    CAPTURE(already_replaced);
    const TempDir dir;
    const CallSeam seam([&](const SeenCall& call) {
      if (call.name != "flock") return kernel_of(kNamed, call);
      if (!already_replaced) return Verdict{.error = EWOULDBLOCK};
      std::filesystem::remove(dir / kTemporary);
      write_file(dir / kTemporary, "the other's");
      return Verdict{};
    });
    check_refused(write_all(dir / kTarget, "new"), dir / kTarget, "another process is writing it");
    CHECK(dir.names() == Names{kTemporary});
    if (already_replaced) CHECK(read_file(dir / kTemporary) == "the other's");
  }
}

TEST_CASE("a stale temporary that changed hands is not removed") {
  const TempDir dir;
  write_file(dir / kTemporary, "of a dead writer");
  const CallSeam seam([&](const SeenCall& call) {
    if (call.name == "flock") {
      write_file(dir / "fresh", "of a live writer");
      std::filesystem::rename(dir / "fresh", dir / kTemporary);
    }
    return Verdict{};
  });
  check_refused(write_all(dir / kTarget, "new"), dir / kTarget, "another process is writing it");
  CHECK(read_file(dir / kTemporary) == "of a live writer");
}

TEST_CASE("what lies at the temporary's name and is no file stays, and no link is followed") {
  struct Row {
    std::string_view name;
    void (*make)(const TempDir&);
    std::string_view words;
  };
  const Row rows[] = {
      {"a link to a file",
       [](const TempDir& dir) { std::filesystem::create_symlink("victim", dir / kTemporary); },
       "it is a symbolic link"},
      {"a link to nothing",
       [](const TempDir& dir) { std::filesystem::create_symlink("nowhere", dir / kTemporary); },
       "it is a symbolic link"},
      {"a directory",
       [](const TempDir& dir) { std::filesystem::create_directory(dir / kTemporary); },
       "it is a directory"},
      {"a FIFO",
       [](const TempDir& dir) { REQUIRE(::mkfifo((dir / kTemporary).c_str(), 0600) == 0); },
       "it is a FIFO"},
  };
  for (const Row& row : rows) {
    for (const Scenario& scenario : {kUnnamed, kNamed}) {
      CAPTURE(row.name);
      CAPTURE(scenario.name);
      const TempDir dir;
      write_file(dir / "victim", "precious");
      row.make(dir);
      const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
      check_refused(write_all(dir / kTarget, "new"), dir / kTarget, row.words);
      CHECK(dir.names() == Names{kTemporary, "victim"});
      CHECK(read_file(dir / "victim") == "precious");
    }
  }
}

TEST_CASE("a link that appears at the temporary's name is not written through") {
  const TempDir dir;
  write_file(dir / "victim", "precious");
  const CallSeam seam([&](const SeenCall& call) {
    if (tests::asks_for_unnamed_file(call)) {
      std::filesystem::create_symlink("victim", dir / kTemporary);
    }
    return kernel_of(kNamed, call);
  });
  check_refused(write_all(dir / kTarget, "new"), dir / kTarget, "another process is writing it");
  CHECK(read_file(dir / "victim") == "precious");
  CHECK(dir.names() == Names{kTemporary, "victim"});
}

// Writes its own bytes again and again; being told that there is another writer is no failure.
bool write_many(const TempDir& dir, const Scenario& scenario, const std::string& bytes) {
  const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
  for (int round = 0; round < 60; ++round) {
    const auto done = write_all(dir / kTarget, bytes, false);
    if (!done && done.error().message().find("another process") == std::string::npos) return false;
  }
  return true;
}

TEST_CASE("writers in a race leave one whole file and nothing else") {
  for (const Scenario& scenario : {kUnnamed, kNamed}) {
    CAPTURE(scenario.name);
    const TempDir dir;
    std::vector<pid_t> children;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(write_many(dir, scenario, noise(8'192, seed)) ? 0 : 1);
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(tests::exited_well(status));
    }
    CHECK(dir.names() == Names{kTarget});
    const std::string bytes = read_file(dir / kTarget);
    const bool whole = bytes == noise(8'192, 1) || bytes == noise(8'192, 2) ||
                       bytes == noise(8'192, 3) || bytes == noise(8'192, 4);
    CHECK(whole);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
