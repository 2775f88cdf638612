// SPDX-License-Identifier: Apache-2.0
#include "weightmap/publish.h"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/generation.h"
#include "weightmap/live.h"

#include "io/call_seam.h"
#include "sharing/generations.h"
#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::mark_at;
using tests::TempDir;
using tests::write_marked;
using Names = std::vector<std::string>;

const Names kPublished{"m.wmap", "m.wmap.generation"};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::uint64_t generation_at(const std::string& path) {
  const auto state = generation_state(path);
  REQUIRE(state);
  REQUIRE(state->has_value());
  REQUIRE_FALSE((*state)->problem);
  CHECK_FALSE((*state)->is_publishing);
  return (*state)->generation;
}

// A delta as adoption makes them: all of its tensor's bytes lie in a weight file beside it.
void write_referring(const std::string& path, const std::string& base, const std::string& name) {
  const auto file = WeightFile::open(base);
  REQUIRE(file);
  const SegmentInfo segment = file->segment(0);
  const auto digests = file->segment_digests();
  REQUIRE(digests);
  format::Content content;
  content.data_files.push_back(
      {.name = name,
       .kind = fb::DataFileKind::wmap,
       .size_bytes = file->size_bytes(),
       .alignment_bytes = static_cast<std::uint32_t>(file->alignment_bytes()),
       .identity = file->digest(),
       .segments = {{segment.offset_bytes, segment.size_bytes}}});
  content.tensors.push_back(tests::tensor_in(0, "t0", {tests::kElements}, Dtype::kInt64));
  const auto built = tests::build_file(content, {}, {digests->front()});
  tests::write_file(path, tests::text_of(built->bytes()));
}

void check_refused(const std::string& new_path,
                   const std::string& current,
                   ErrorCode code,
                   const std::string& words,
                   const PublishOptions& options = {}) {
  CAPTURE(words);
  const bool exists = std::filesystem::exists(current);
  const std::string before = exists ? tests::read_file(current) : "";
  const bool had_block = std::filesystem::exists(current + ".generation");
  const auto report = publish(new_path, current, options);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == code);
  CHECK_MESSAGE(report.error().message().find(words) != std::string::npos,
                report.error().message());
  CHECK(std::filesystem::exists(current) == exists);
  if (exists) CHECK(tests::read_file(current) == before);
  CHECK(std::filesystem::exists(current + ".generation") == had_block);
}

TEST_SUITE_BEGIN("sharing/publish");

TEST_CASE("one generation after another") {
  const TempDir dir;
  for (std::int64_t mark = 1; mark <= 3; ++mark) {
    write_marked(dir / "new.wmap", mark);
    const auto size = std::filesystem::file_size(dir / "new.wmap");
    const Digest digest = WeightFile::open(dir / "new.wmap")->digest();
    const auto report = publish(dir / "new.wmap", dir / "m.wmap");
    REQUIRE_MESSAGE(report, report.error().message());
    CHECK(report->generation == static_cast<std::uint64_t>(mark));
    CHECK(report->replaced == (mark > 1));
    CHECK_FALSE(report->healed);
    CHECK(report->file_bytes == size);
    CHECK(report->verified_bytes == tests::kTensors * tests::kElements * 8);
    CHECK(report->digest == digest);
    CHECK(mark_at(dir / "m.wmap") == mark);
    CHECK(generation_at(dir / "m.wmap") == static_cast<std::uint64_t>(mark));
    CHECK((*generation_state(dir / "m.wmap"))->digest == digest);
    CHECK(dir.names() == kPublished);
  }
}

TEST_CASE("the same content once more is a generation, too") {
  const TempDir dir;
  for (std::uint64_t generation = 1; generation <= 2; ++generation) {
    write_marked(dir / "new.wmap", 5);
    const auto report = publish(dir / "new.wmap", dir / "m.wmap");
    REQUIRE(report);
    CHECK(report->generation == generation);
  }
}

TEST_CASE("paths in the working directory, and a name that is behind a link") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "real");
  write_marked(dir / "real/m.wmap", 1);
  std::filesystem::create_symlink("real/m.wmap", dir / "now.wmap");
  write_marked(dir / "new.wmap", 2);
  CHECK(tests::exited_well(tests::in_child([&] {
    return ::chdir(dir.path().c_str()) == 0 && publish("new.wmap", "now.wmap").has_value();
  })));
  CHECK(dir.names() == Names{"now.wmap", "real"});
  CHECK(std::filesystem::is_symlink(dir / "now.wmap"));
  CHECK(mark_at(dir / "real/m.wmap") == 2);
  CHECK(generation_at(dir / "real/m.wmap") == 1);
}

TEST_CASE("the permissions are those of the file that is replaced") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  ::chmod((dir / "m.wmap").c_str(), 0640);
  write_marked(dir / "new.wmap", 2);
  ::chmod((dir / "new.wmap").c_str(), 0644);
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  CHECK(mode_of(dir / "m.wmap") == 0640);
  CHECK(mode_of(dir / "m.wmap.generation") == 0640);
}

TEST_CASE("a block stays writable to its owner beside weights that nobody may write") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  ::chmod((dir / "m.wmap").c_str(), 0444);
  write_marked(dir / "new.wmap", 2);
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  CHECK(mode_of(dir / "m.wmap.generation") == 0644);
}

TEST_CASE("what root publishes belongs to whom the weights belonged, and so does the block") {
  if (::geteuid() != 0) {
    MESSAGE("SKIPPED: only root may give a file away");
    return;
  }
  constexpr uid_t kOwner = 12'345;
  constexpr gid_t kGroup = 23'456;
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  REQUIRE(::chown((dir / "m.wmap").c_str(), kOwner, kGroup) == 0);
  ::chmod((dir / "m.wmap").c_str(), 0644);
  REQUIRE(::chown(dir.path().c_str(), kOwner, kGroup) == 0);
  ::chmod(dir.path().c_str(), 0755);
  for (std::int64_t mark = 2; mark < 4; ++mark) {
    write_marked(dir / "new.wmap", mark);
    const auto report = publish(dir / "new.wmap", dir / "m.wmap");
    REQUIRE_MESSAGE(report, report.error().message());
    for (const char* const name : {"m.wmap", "m.wmap.generation"}) {
      struct stat status {};
      REQUIRE(::stat((dir / name).c_str(), &status) == 0);
      CHECK(status.st_uid == kOwner);
      CHECK(status.st_gid == kGroup);
    }
  }
  // A third user trusts the block, and the owner goes on.
  CHECK(tests::exited_well(tests::in_child([&] {
    if (::setuid(kOwner + 1) != 0) return false;
    const auto state = generation_state(dir / "m.wmap");
    return state && state->has_value() && !(*state)->problem && (*state)->generation == 2;
  })));
  CHECK(tests::exited_well(tests::in_child([&] {
    if (::setgid(kGroup) != 0 || ::setuid(kOwner) != 0) return false;
    write_marked(dir / "own.wmap", 4);
    return publish(dir / "own.wmap", dir / "m.wmap").has_value();
  })));
}

TEST_CASE("a file that does not take the place keeps its permissions") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  ::chmod((dir / "m.wmap").c_str(), 0640);
  write_marked(dir / "new.wmap", 2);
  ::chmod((dir / "new.wmap").c_str(), 0604);
  const tests::CallSeam seam([](const tests::SeenCall& call) {
    const bool is_ours = call.name == "rename_at" && call.entry == "m.wmap";
    return tests::Verdict{.error = is_ours ? EIO : 0};
  });
  REQUIRE_FALSE(publish(dir / "new.wmap", dir / "m.wmap"));
  CHECK(mode_of(dir / "new.wmap") == 0604);
}

TEST_CASE("in the midst of a first publish the old file is not taken for the new one") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "new.wmap", 2);
  std::optional<std::uint64_t> old_number;
  const tests::CallSeam seam([&](const tests::SeenCall& call) {
    if (call.name == "rename_at" && call.entry == "m.wmap") {
      const auto reader = LiveFile::open(dir / "m.wmap");
      if (reader && tests::mark_of(reader->current()->file) == 1) {
        old_number = reader->current()->generation;
      }
    }
    return tests::Verdict{};
  });
  REQUIRE(publish(dir / "new.wmap", dir / "m.wmap"));
  CHECK(old_number == 0);
  CHECK(LiveFile::open(dir / "m.wmap")->current()->generation == 1);
}

TEST_CASE("what came to the name while the lock was waited for is not replaced if it must not be") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "new.wmap", 2);
  tests::write_file(dir / "text", "no weights");
  const tests::CallSeam seam([&](const tests::SeenCall& call) {
    if (call.name == "flock" && std::filesystem::exists(dir / "text")) {
      std::filesystem::rename(dir / "text", dir / "m.wmap");
    }
    return tests::Verdict{};
  });
  const auto report = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kExists);
  CHECK(tests::read_file(dir / "m.wmap") == "no weights");
}

TEST_CASE("a publisher is that of one file: not of where a link leads later, nor of a new block") {
  const TempDir dir;
  for (const char* const version : {"v1", "v2"}) {
    std::filesystem::create_directory(dir / version);
    write_marked(dir / version + "/m.wmap", 1);
  }
  std::filesystem::create_symlink("v1/m.wmap", dir / "now.wmap");
  auto publisher = Publisher::open(dir / "now.wmap");
  REQUIRE(publisher);
  const auto check_not_held = [&] {
    write_marked(dir / "new.wmap", 2);
    const auto report = publisher->publish(dir / "new.wmap");
    REQUIRE_FALSE(report);
    CHECK(report.error().code() == ErrorCode::kIo);
    CHECK_MESSAGE(report.error().message().find("leads elsewhere") != std::string::npos,
                  report.error().message());
  };
  std::filesystem::remove(dir / "now.wmap");
  std::filesystem::create_symlink("v2/m.wmap", dir / "now.wmap");
  check_not_held();
  CHECK(mark_at(dir / "v2/m.wmap") == 1);

  std::filesystem::remove(dir / "now.wmap");
  std::filesystem::create_symlink("v1/m.wmap", dir / "now.wmap");
  CHECK(publisher->publish(dir / "new.wmap"));
  std::filesystem::remove(dir / "v1/m.wmap.generation");
  const auto other = Publisher::open(dir / "now.wmap");
  REQUIRE(other);
  check_not_held();
}

TEST_CASE("the data files of a new file are on the disk before it takes its place") {
  const TempDir dir;
  const TempDir middle;
  const TempDir hub;
  write_marked(dir / "base.wmap", 1);
  write_marked(hub / "blob", 1);
  std::filesystem::create_symlink(hub / "blob", middle / "link");
  std::filesystem::create_symlink(middle / "link", dir / "linked.wmap");
  std::filesystem::create_symlink("base.wmap", dir / "near.wmap");
  write_marked(dir / "m.wmap", 2);
  const auto inode_of = [](const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  };
  for (const std::string base : {"base.wmap", "near.wmap", "linked.wmap"}) {
    for (const bool sync : {true, false}) {
      CAPTURE(base);
      CAPTURE(sync);
      write_referring(dir / "delta.wmap", dir / base, base);
      std::vector<ino_t> synced;
      const tests::CallSeam seam([&](const tests::SeenCall& call) {
        struct stat status {};
        if (call.name == "fsync" && ::fstat(call.descriptor, &status) == 0)
          synced.push_back(status.st_ino);
        if (call.name == "rename_at") {
          CHECK(std::ranges::count(synced, inode_of(dir / base)) == (sync ? 1 : 0));
          CHECK(std::ranges::count(synced, inode_of(dir.path())) == (sync ? 1 : 0));
          const int of_links = sync && base == "linked.wmap" ? 1 : 0;
          CHECK(std::ranges::count(synced, inode_of(middle.path())) == of_links);
          CHECK(std::ranges::count(synced, inode_of(hub.path())) == of_links);
        }
        return tests::Verdict{};
      });
      auto publisher = Publisher::open(dir / "m.wmap", {.sync = sync});
      REQUIRE(publisher);
      synced.clear();  // of the block
      REQUIRE(publisher->publish(dir / "delta.wmap"));
      CHECK(seam.all("rename_at").size() == 1);
    }
  }
}

TEST_CASE("another file that gets the new one's name at the last moment is told") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "new.wmap", 2);
  write_marked(dir / "stranger.wmap", 9);
  {
    const tests::CallSeam seam([&](const tests::SeenCall& call) {
      if (call.name == "rename_at" && call.entry == "m.wmap")
        std::filesystem::rename(dir / "stranger.wmap", dir / "new.wmap");
      return tests::Verdict{};
    });
    const auto report = publish(dir / "new.wmap", dir / "m.wmap");
    REQUIRE_FALSE(report);
    CHECK(report.error().code() == ErrorCode::kIo);
    CHECK(report.error().message().find("unverified") != std::string::npos);
  }
  CHECK(mark_at(dir / "m.wmap") == 9);
  CHECK(generation_at(dir / "m.wmap") == 1);
  CHECK((*generation_state(dir / "m.wmap"))->digest == Digest{});
  write_marked(dir / "new.wmap", 3);
  const auto next = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE(next);
  CHECK(next->generation == 2);
}

TEST_CASE("what is refused changes nothing and leaves nothing") {
  const TempDir dir;
  const std::string current = dir / "m.wmap";
  const std::string fresh = dir / "new.wmap";
  write_marked(current, 1);
  write_marked(fresh, 2);

  check_refused(dir / "none.wmap", current, ErrorCode::kNotFound, "none.wmap: cannot open");
  check_refused(current, current, ErrorCode::kInvalidArgument, "are the same file");
  std::filesystem::create_hard_link(current, dir / "twin.wmap");
  check_refused(dir / "twin.wmap", current, ErrorCode::kInvalidArgument, "are the same file");
  std::filesystem::create_symlink("new.wmap", dir / "link.wmap");
  check_refused(dir / "link.wmap", current, ErrorCode::kInvalidArgument, "is a symbolic link");
  check_refused(dir.path(), current, ErrorCode::kInvalidArgument, "not a regular file");
  check_refused(fresh, dir.path(), ErrorCode::kInvalidArgument, "not a regular file");
  check_refused(fresh, dir / "no/m.wmap", ErrorCode::kNotFound, "no/m.wmap");

  tests::write_file(dir / "text", "no weights");
  check_refused(dir / "text", current, ErrorCode::kWrongKind, "not a weight file");
  check_refused(fresh, dir / "text", ErrorCode::kExists, "exists and is");

  std::string bytes = tests::read_file(fresh);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  tests::write_file(dir / "damaged.wmap", bytes);
  check_refused(dir / "damaged.wmap", current, ErrorCode::kCorrupt, "damaged.wmap: ");
  const PublishOptions stop{.progress = [](auto, auto) { return false; }};
  check_refused(fresh, current, ErrorCode::kCancelled, "cancelled", stop);
}

TEST_CASE("damage of a data file is told as that one's") {
  const TempDir dir;
  const std::string base = dir / "base.wmap";
  write_marked(base, 1);
  write_referring(dir / "delta.wmap", base, "base.wmap");
  std::string bytes = tests::read_file(base);
  bytes[WeightFile::open(base)->segment(0).offset_bytes] ^= 1;
  tests::write_file(base, bytes);
  check_refused(dir / "delta.wmap", dir / "m.wmap", ErrorCode::kCorrupt, "base.wmap: blob: R28");
}

TEST_CASE("a data file that is another one after it was checked is told, and nothing has changed") {
  const TempDir dir;
  const std::string current = dir / "m.wmap";
  const std::string base = dir / "base.wmap";
  write_marked(current, 1);
  REQUIRE(Publisher::open(current));  // makes the block
  struct Change {
    std::function<void()> make;
    ErrorCode code;
    std::string words;
  };
  const std::vector<Change> changes = {
      {[&] { std::filesystem::remove(base); }, ErrorCode::kNotFound, "base.wmap: "},
      {[&] { std::filesystem::rename(dir / "other.wmap", base); }, ErrorCode::kIo,
       "base.wmap: another file has taken its name"},
      {[&] { std::filesystem::resize_file(base, 100); }, ErrorCode::kCorrupt, "base.wmap: "}};
  for (const Change& change : changes) {
    write_marked(base, 2);
    write_marked(dir / "other.wmap", 3);
    write_referring(dir / "delta.wmap", base, "base.wmap");
    bool is_made = false;
    const auto change_at_end = [&](std::uint64_t done, std::uint64_t total) {
      if (done == total && !std::exchange(is_made, true)) change.make();
      return true;
    };
    check_refused(dir / "delta.wmap", current, change.code, change.words,
                  {.progress = change_at_end});
    CHECK(generation_at(current) == 0);
  }
}

TEST_CASE("a data file that goes while the lock is waited for is told") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "base.wmap", 2);
  write_referring(dir / "delta.wmap", dir / "base.wmap", "base.wmap");
  auto other = std::make_optional(*Publisher::open(dir / "m.wmap"));
  const auto end_of_wait = [&] {
    std::filesystem::rename(dir / "base.wmap", dir / "gone.wmap");
    other.reset();
    return true;
  };
  check_refused(dir / "delta.wmap", dir / "m.wmap", ErrorCode::kNotFound,
                "base.wmap: ", {.keep_waiting = end_of_wait});
}

TEST_CASE("damage is not looked for where that is not wanted") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 2);
  std::string bytes = tests::read_file(dir / "new.wmap");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  tests::write_file(dir / "new.wmap", bytes);
  const auto report = publish(dir / "new.wmap", dir / "m.wmap", {.verify = false});
  REQUIRE(report);
  CHECK(report->verified_bytes == 0);
  CHECK(tests::read_file(dir / "m.wmap") == bytes);
}

TEST_CASE("a file whose data file it would replace is refused, by whatever name that goes") {
  const TempDir dir;
  const std::string current = dir / "m.wmap";
  write_marked(current, 1);
  write_referring(dir / "delta.wmap", current, "m.wmap");
  check_refused(dir / "delta.wmap", current, ErrorCode::kInvalidArgument, "the very file");
  std::filesystem::create_symlink("m.wmap", dir / "base.wmap");
  write_referring(dir / "delta.wmap", current, "base.wmap");
  check_refused(dir / "delta.wmap", current, ErrorCode::kInvalidArgument, "the very file");
}

TEST_CASE("a base that has a name of its own stays, and the delta is published") {
  const TempDir dir;
  const std::string current = dir / "m.wmap";
  write_marked(current, 1);
  std::filesystem::create_hard_link(current, dir / "base.wmap");
  write_referring(dir / "delta.wmap", current, "base.wmap");
  const auto report = publish(dir / "delta.wmap", current);
  REQUIRE_MESSAGE(report, report.error().message());
  CHECK(mark_at(current) == 1);
  CHECK(WeightFile::open(current)->tensor_count() == 1);
}

TEST_CASE("a file with data files is published where they are, and nowhere else") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "there");
  write_marked(dir / "base.wmap", 1);
  write_referring(dir / "delta.wmap", dir / "base.wmap", "base.wmap");
  check_refused(dir / "delta.wmap", dir / "there/m.wmap", ErrorCode::kInvalidArgument,
                "needs its data file `base.wmap` beside it");
  // Nor behind a link that lies elsewhere, nor from one that does.
  write_marked(dir / "m.wmap", 2);
  std::filesystem::create_symlink("../m.wmap", dir / "there/link.wmap");
  check_refused(dir / "delta.wmap", dir / "there/link.wmap", ErrorCode::kInvalidArgument,
                "needs its data file");
  CHECK(publish(dir / "delta.wmap", dir / "m.wmap"));
}

TEST_CASE("from another directory of the file system") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "made");
  write_marked(dir / "made/new.wmap", 4);
  REQUIRE(publish(dir / "made/new.wmap", dir / "m.wmap"));
  CHECK(mark_at(dir / "m.wmap") == 4);
  CHECK_FALSE(std::filesystem::exists(dir / "made/new.wmap"));
}

TEST_CASE("another file system is told as such") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "new.wmap", 2);
  const tests::CallSeam seam([](const tests::SeenCall& call) {
    const bool is_ours = call.name == "rename_at" && call.entry == "m.wmap";
    return tests::Verdict{.error = is_ours ? EXDEV : 0};
  });
  const auto report = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kInvalidArgument);
  CHECK(report.error().message().find("convert or copy it") != std::string::npos);
  CHECK(generation_at(dir / "m.wmap") == 0);
}

TEST_CASE("another file system is told before anything is made") {
  const TempDir dir;
  const std::string elsewhere = "/dev/shm/weightmap-" + std::to_string(::getpid()) + ".wmap";
  struct stat here {};
  struct stat there {};
  REQUIRE(::stat(dir.path().c_str(), &here) == 0);
  if (::stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev) {
    MESSAGE("SKIPPED: there is no second file system at /dev/shm");
    return;
  }
  write_marked(dir / "m.wmap", 1);
  ::chmod((dir / "m.wmap").c_str(), 0640);
  write_marked(elsewhere, 2);
  ::chmod(elsewhere.c_str(), 0604);
  check_refused(elsewhere, dir / "m.wmap", ErrorCode::kInvalidArgument,
                "lies on another file system");
  CHECK(mode_of(elsewhere) == 0604);
  std::filesystem::remove(elsewhere);
}

TEST_CASE("while one publishes another is refused, or waits") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 1);
  auto first = std::make_unique<Result<Publisher>>(Publisher::open(dir / "m.wmap"));
  REQUIRE(*first);
  const auto second = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::kIo);
  CHECK(second.error().message() == dir / "m.wmap" + ": another process is publishing it");
  CHECK(std::filesystem::exists(dir / "new.wmap"));

  std::atomic<bool> asks_for_lock = false;
  const tests::CallSeam seam([&](const tests::SeenCall& call) {
    if (call.name == "flock") asks_for_lock = true;
    return tests::Verdict{};
  });
  std::optional<Result<PublishReport>> third;
  std::atomic<bool> has_published = false;
  std::thread waiting([&] {
    third.emplace(publish(dir / "new.wmap", dir / "m.wmap", {.keep_waiting = [] { return true; }}));
    has_published = true;
  });
  while (!asks_for_lock && !has_published)
    std::this_thread::yield();
  for (std::int64_t mark = 10; mark < 12; ++mark) {
    write_marked(dir / "mine.wmap", mark);
    CHECK((**first).publish(dir / "mine.wmap"));
    CHECK_FALSE(has_published);
  }
  first.reset();
  waiting.join();
  CHECK(asks_for_lock);
  REQUIRE(*third);
  CHECK((*third)->generation == 3);
  CHECK(mark_at(dir / "m.wmap") == 1);
}

TEST_CASE("who waits for another can be told to stop") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 1);
  const auto first = Publisher::open(dir / "m.wmap");
  REQUIRE(first);
  int calls = 0;
  const auto stopped =
      publish(dir / "new.wmap", dir / "m.wmap", {.keep_waiting = [&] { return ++calls < 3; }});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == ErrorCode::kCancelled);
  CHECK(stopped.error().message() == dir / "m.wmap" + ": cancelled");
  CHECK(calls == 3);
  CHECK(std::filesystem::exists(dir / "new.wmap"));
}

TEST_CASE("the lock goes with the process that has it") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 1);
  const int status = tests::in_child([&] {
    const auto publisher = Publisher::open(dir / "m.wmap");
    ::kill(::getpid(), SIGKILL);
    return publisher.has_value();
  });
  CHECK(tests::was_killed_by(status, SIGKILL));
  CHECK(publish(dir / "new.wmap", dir / "m.wmap"));
}

TEST_CASE("a block that others planted is refused by name, and nothing is written to it") {
  const TempDir dir;
  write_marked(dir / "m.wmap", 1);
  write_marked(dir / "new.wmap", 2);
  const std::string block = dir / "m.wmap.generation";
  const auto refuse = [&](const std::string& words) {
    CAPTURE(words);
    check_refused(dir / "new.wmap", dir / "m.wmap", ErrorCode::kIo, words);
  };
  tests::write_file(block, std::string("\x89WMGEN\r\n\x01\0\0\0", 12) + std::string(4084, '\0'));
  const std::string planted = tests::read_file(block);
  ::chmod(block.c_str(), 0666);
  refuse("mode 0666");
  CHECK(tests::read_file(block) == planted);
  ::chmod(block.c_str(), 0644);
  if (::chown(block.c_str(), 12'345, 0) == 0) {
    refuse("belongs to user 12345");
    CHECK(tests::read_file(block) == planted);
  }

  std::filesystem::remove(block);
  tests::write_file(dir / "victim", planted);
  std::filesystem::create_symlink("victim", block);
  refuse("m.wmap.generation: cannot open");
  CHECK(tests::read_file(dir / "victim") == planted);
  std::filesystem::remove(dir / "victim");
  refuse("m.wmap.generation: cannot open");
  CHECK_FALSE(std::filesystem::exists(dir / "victim"));
  std::filesystem::remove(block);
  CHECK(publish(dir / "new.wmap", dir / "m.wmap"));
}

TEST_CASE("what is no control block is refused, with what to do") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 2);
  tests::write_file(dir / "m.wmap.generation", "notes");
  const auto report = publish(dir / "new.wmap", dir / "m.wmap");
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kCorrupt);
  CHECK(report.error().message().find("remove it if nobody publishes there") != std::string::npos);
  CHECK(tests::read_file(dir / "m.wmap.generation") == "notes");
}

TEST_CASE("of many that publish first at once each makes a generation, in one block") {
  const TempDir dir;
  constexpr std::uint64_t kPublishers = 12;
  std::vector<pid_t> children;
  for (std::uint64_t i = 0; i < kPublishers; ++i) {
    const std::string path = dir / "new" + std::to_string(i) + ".wmap";
    write_marked(path, static_cast<std::int64_t>(i));
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto report =
          publish(path, dir / "m.wmap", {.sync = false, .keep_waiting = [] { return true; }});
      ::_exit(report ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(tests::exited_well(status));
  }
  CHECK(generation_at(dir / "m.wmap") == kPublishers);
  CHECK(dir.names() == kPublished);
}

TEST_CASE("no child inherits a descriptor of a publisher") {
  const TempDir dir;
  write_marked(dir / "new.wmap", 1);
  auto publisher = Publisher::open(dir / "m.wmap");
  REQUIRE(publisher);
  REQUIRE(publisher->publish(dir / "new.wmap"));
  const std::string open = tests::output_of("ls -l /proc/self/fd");
  CHECK_MESSAGE(open.find(dir.path()) == std::string::npos, open);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
