// SPDX-License-Identifier: Apache-2.0
#include "io/file_writer.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <utility>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "io/checked_writer.h"
#include "io/mapped_file.h"
#include "io/writer_scenario.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::check_done;
using tests::kernel_of;
using tests::kScenarios;
using tests::kTarget;
using tests::kTemporary;
using tests::noise;
using tests::read_file;
using tests::Scenario;
using tests::SeenCall;
using tests::TempDir;
using tests::text_of;
using tests::Verdict;
using tests::write_all;
using tests::write_file;
using tests::writer_of;

using Names = std::vector<std::string>;

constexpr std::size_t kStep = FileWriter::kWriteBytes;

TEST_SUITE_BEGIN("io/file_writer");

TEST_CASE("bytes arrive whatever the size of the file and of the pieces") {
  const TempDir dir;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kStep - 1, kStep, kStep + 1,
                                 2 * kStep, 2 * kStep + 4'097}) {
    for (const std::size_t piece : {std::size_t{997}, std::size_t{1} << 20U, kStep, 3 * kStep}) {
      CAPTURE(size);
      CAPTURE(piece);
      const std::string bytes = noise(size, size + 1);
      FileWriter writer = writer_of(dir / "out", size);
      for (std::size_t at = 0; at < size; at += piece) {
        CHECK(writer.position() == at);
        check_done(writer.write(bytes_of(bytes).subspan(at, std::min(piece, size - at))));
      }
      check_done(writer.commit());
      REQUIRE(read_file(dir / "out") == bytes);
    }
  }
}

TEST_CASE("bytes may be filled in place") {
  const TempDir dir;
  const std::string bytes = noise(2 * kStep + 1'001);
  FileWriter writer = writer_of(dir / "out", bytes.size());
  std::uint64_t at = 0;
  while (at < bytes.size()) {
    const std::span<std::byte> room =
        writer.room(std::min<std::uint64_t>(300'001, bytes.size() - at));
    REQUIRE_FALSE(room.empty());
    REQUIRE(room.size() <= 300'001);
    std::ranges::copy(bytes_of(bytes).subspan(at, room.size()), room.begin());
    check_done(writer.advance(room.size()));
    at += room.size();
    CHECK(writer.position() == at);
  }
  check_done(writer.commit());
  CHECK(read_file(dir / "out") == bytes);
}

TEST_CASE("filling in place, writing and padding may alternate") {
  const TempDir dir;
  FileWriter writer = writer_of(dir / "out", kStep + 14);
  check_done(writer.write(bytes_of("head")));
  const auto room = writer.room(4);
  REQUIRE(room.size() == 4);
  std::ranges::copy(bytes_of("fill"), room.begin());
  check_done(writer.advance(3));
  check_done(writer.pad_to(kStep + 10));
  check_done(writer.pad_to(kStep + 10));
  check_done(writer.write(bytes_of("tail")));
  check_done(writer.commit());
  CHECK(read_file(dir / "out") == "headfil" + std::string(kStep + 3, '\0') + "tail");
}

TEST_CASE("padding is zero although the buffer was used before") {
  const TempDir dir;
  FileWriter writer = writer_of(dir / "out", 2 * kStep);
  check_done(writer.write(bytes_of(std::string(kStep - 1, 'x'))));
  check_done(writer.write(bytes_of("xx")));
  check_done(writer.pad_to(2 * kStep));
  check_done(writer.commit());
  CHECK(read_file(dir / "out") == std::string(kStep + 1, 'x') + std::string(kStep - 1, '\0'));
}

TEST_CASE("what was written is rewritten, in the file, in the buffer and across both") {
  const TempDir dir;
  struct Row {
    std::size_t offset;
    std::size_t size;
  };
  const std::size_t size = kStep + 1'000;
  for (const Row row : {Row{0, 128}, Row{kStep + 10, 50}, Row{kStep - 5, 10}, Row{kStep, 1'000},
                        Row{0, size}, Row{size, 0}, Row{kStep - 1, 1}}) {
    CAPTURE(row.offset);
    CAPTURE(row.size);
    std::string expected = noise(size);
    const std::string patch = noise(row.size, 7);
    FileWriter writer = writer_of(dir / "out", size);
    check_done(writer.write(bytes_of(expected)));
    check_done(writer.rewrite(row.offset, bytes_of(patch)));
    CHECK(writer.position() == size);
    check_done(writer.commit());
    expected.replace(row.offset, row.size, patch);
    REQUIRE(read_file(dir / "out") == expected);
  }
}

TEST_CASE("a call against its conditions fails, and the target is not written") {
  struct Row {
    std::string_view name;
    Result<void> (*wrong)(FileWriter&);
    std::string_view words;
  };
  const Row rows[] = {
      {"more than fits", [](FileWriter& w) { return w.write(bytes_of("1234567")); },
       "7 bytes at 4 do not fit into 10 bytes"},
      {"fill more than fits", [](FileWriter& w) { return w.room(7), w.advance(7); },
       "7 bytes at 4 do not fit into 10 bytes"},
      {"fill more than there was room", [](FileWriter& w) { return w.advance(kStep); },
       "more filled than there was room"},
      {"pad beyond the end", [](FileWriter& w) { return w.pad_to(11); },
       "7 bytes at 4 do not fit into 10 bytes"},
      {"pad backwards", [](FileWriter& w) { return w.pad_to(3); }, "cannot pad backwards"},
      {"rewrite what is not written", [](FileWriter& w) { return w.rewrite(3, bytes_of("ab")); },
       "cannot overwrite 2 bytes at 3, only 4 are written"},
      {"rewrite at no place", [](FileWriter& w) { return w.rewrite(~0ULL, bytes_of("ab")); },
       "cannot overwrite 2 bytes at 18446744073709551615"},
      {"commit what is not complete", [](FileWriter& w) { return w.commit(); },
       "is not complete, 4 of 10 bytes"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TempDir dir;
    write_file(dir / "out", "old");
    FileWriter writer = writer_of(dir / "out", 10);
    check_done(writer.write(bytes_of("0123")));
    const auto wrong = row.wrong(writer);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code() == ErrorCode::kInvalidArgument);
    CHECK_MESSAGE(
        wrong.error().message().starts_with((dir / "out") + ": " + std::string(row.words)),
        wrong.error().message());
    CHECK_FALSE(writer.write(bytes_of("456789")));
    CHECK_FALSE(writer.commit());
    CHECK(read_file(dir / "out") == "old");
    CHECK(dir.names() == Names{"out"});
  }
}

TEST_CASE("a writer is spent by its commit") {
  const TempDir dir;
  FileWriter writer = writer_of(dir / "out", 3);
  check_done(writer.write(bytes_of("new")));
  check_done(writer.commit());
  CHECK(writer.commit().error().code() == ErrorCode::kInvalidArgument);
  CHECK(writer.rewrite(0, bytes_of("x")).error().code() == ErrorCode::kInvalidArgument);
  CHECK(read_file(dir / "out") == "new");
}

TEST_CASE("until the commit the target is untouched, and no other name is seen") {
  const TempDir dir;
  write_file(dir / "out", "old");
  {
    FileWriter writer = writer_of(dir / "out", 2 * kStep);
    check_done(writer.write(bytes_of(noise(2 * kStep))));
    CHECK(read_file(dir / "out") == "old");
    CHECK(dir.names() == Names{"out"});
  }
  CHECK(read_file(dir / "out") == "old");
  CHECK(dir.names() == Names{"out"});
}

TEST_CASE("without O_TMPFILE the file carries the temporary's name until the commit") {
  for (const int error_number : {EOPNOTSUPP, EISDIR, EINVAL, ENOSYS}) {
    CAPTURE(error_number);
    const TempDir dir;
    const CallSeam seam([&](const SeenCall& call) {
      return Verdict{.error = tests::asks_for_unnamed_file(call) ? error_number : 0};
    });
    {
      FileWriter dropped = writer_of(dir / kTarget, 3);
      CHECK(dir.names() == Names{kTemporary});
    }
    CHECK(dir.names().empty());
    FileWriter writer = writer_of(dir / kTarget, 3);
    check_done(writer.write(bytes_of("new")));
    CHECK(dir.names() == Names{kTemporary});
    check_done(writer.commit());
    CHECK(dir.names() == Names{kTarget});
    CHECK(read_file(dir / kTarget) == "new");
  }
}

TEST_CASE("every situation ends in the new bytes and nothing else") {
  for (const Scenario& scenario : kScenarios) {
    for (const bool sync : {true, false}) {
      CAPTURE(scenario.name);
      CAPTURE(sync);
      const TempDir dir;
      tests::set_up(scenario, dir);
      const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
      check_done(write_all(dir / kTarget, tests::new_bytes(), sync));
      CHECK(read_file(dir / kTarget) == tests::new_bytes());
      CHECK(dir.names() == Names{kTarget});
    }
  }
}

TEST_CASE("a name that only the bytes tell is given at the commit") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    Names expected = tests::set_up(scenario, dir);
    std::erase(expected, kTemporary);
    expected.emplace_back("told.wmap");
    std::ranges::sort(expected);
    for (int i = 0; i < 2; ++i) {  // the second replaces the first
      const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
      FileWriter writer = writer_of(dir / kTarget, 5);
      check_done(writer.write(bytes_of("12345")));
      CHECK_FALSE(writer.is_published());
      check_done(writer.commit_as(dir / "told.wmap"));
      CHECK(writer.is_published());
    }
    CHECK(dir.names() == expected);
    CHECK(read_file(dir / "told.wmap") == "12345");
    if (scenario.target_exists) CHECK(read_file(dir / kTarget) == tests::old_bytes());
  }
}

TEST_CASE("whether a file has its name is known after a commit that failed, too") {
  struct Row {
    const char* call;
    bool is_published;
  };
  for (const Row& row : {Row{"link_at", false}, Row{"fsync", false}, Row{"second fsync", true}}) {
    CAPTURE(row.call);
    const TempDir dir;
    FileWriter writer = writer_of(dir / kTarget, 1, true);
    check_done(writer.write(bytes_of("1")));
    int syncs = 0;
    const CallSeam seam([&](const SeenCall& call) {
      if (call.name == "fsync") ++syncs;
      const bool is_second = call.name == "fsync" && syncs == 2;
      const bool fails = is_second ? row.is_published : call.name == row.call;
      return Verdict{.error = fails ? EIO : 0};
    });
    CHECK_FALSE(writer.commit());
    CHECK(writer.is_published() == row.is_published);
    CHECK(std::filesystem::exists(dir / kTarget) == row.is_published);
  }
}

TEST_CASE("who has the old file open keeps the old bytes") {
  const TempDir dir;
  write_file(dir / "out", noise(50'000, 1));
  std::filesystem::create_hard_link(dir / "out", dir / "second name");
  const auto mapped = MappedFile::map(*File::open(dir / "out"));
  check_done(write_all(dir / "out", noise(50'000, 2)));
  CHECK(text_of(mapped->bytes()) == noise(50'000, 1));
  CHECK(read_file(dir / "second name") == noise(50'000, 1));
  CHECK(read_file(dir / "out") == noise(50'000, 2));
}

TEST_CASE("a link that is the target stays a link, and what it leads to is replaced") {
  for (const Scenario& scenario : kScenarios) {
    if (!scenario.target_exists) continue;
    CAPTURE(scenario.name);
    const TempDir dir;
    std::filesystem::create_directory(dir / "real");
    write_file(dir / "real/model", "old");
    std::filesystem::create_symlink("real/model", dir / "first");
    std::filesystem::create_symlink(dir / "first", dir / "second");
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    check_done(write_all(dir / "second", "new"));
    CHECK(std::filesystem::read_symlink(dir / "second") == dir / "first");
    CHECK(std::filesystem::read_symlink(dir / "first") == "real/model");
    CHECK(read_file(dir / "real/model") == "new");
    CHECK(dir.names() == Names{"first", "real", "second"});
    CHECK(std::distance(std::filesystem::directory_iterator(dir / "real"), {}) == 1);
  }
}

TEST_CASE("a target that cannot be one is refused before anything is written") {
  const TempDir dir;
  write_file(dir / "file", "x");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  std::filesystem::create_symlink("nowhere", dir / "dangling");
  std::filesystem::create_directory(dir / "sub");
  std::filesystem::create_directory_symlink("sub", dir / "to-sub");
  std::filesystem::create_symlink("loop", dir / "loop");
  struct Row {
    std::string target;
    ErrorCode code;
    std::string_view words;
  };
  const Row rows[] = {
      {dir / "sub", ErrorCode::kInvalidArgument, "is a directory, not a regular file"},
      {dir / "sub/", ErrorCode::kInvalidArgument, "is a directory, not a regular file"},
      {dir / "to-sub", ErrorCode::kInvalidArgument, "is a directory, not a regular file"},
      {dir / ".", ErrorCode::kInvalidArgument, "is a directory, not a regular file"},
      {"/", ErrorCode::kInvalidArgument, "is not the name of a file"},
      {"", ErrorCode::kInvalidArgument, "is not the name of a file"},
      {dir / "new/", ErrorCode::kInvalidArgument, "is not the name of a file"},
      {dir / "new/..", ErrorCode::kInvalidArgument, "is not the name of a file"},
      {dir / "fifo", ErrorCode::kInvalidArgument, "is a FIFO, not a regular file"},
      {"/dev/null", ErrorCode::kInvalidArgument, "is a character device, not a regular file"},
      {dir / "none/file", ErrorCode::kNotFound, "no such file or directory"},
      {dir / "file/below", ErrorCode::kNotFound, "not a directory"},
      {dir / "dangling", ErrorCode::kNotFound, "is a link to what does not exist"},
      {dir / "loop", ErrorCode::kIo, "too many levels of symbolic links"},
      {dir / std::string(256, 'x'), ErrorCode::kIo, "file name too long"},
  };
  const Names before = dir.names();
  for (const Row& row : rows) {
    CAPTURE(row.target);
    const auto writer = FileWriter::create(row.target, {.size_bytes = 1});
    REQUIRE_FALSE(writer);
    CHECK_MESSAGE(writer.error().code() == row.code, writer.error().message());
    CHECK(writer.error().message().starts_with(row.target + ": "));
    CHECK_MESSAGE(writer.error().message().find(row.words) != std::string::npos,
                  writer.error().message());
    CHECK(dir.names() == before);
  }
  const auto cut =
      FileWriter::create((dir / "file") + std::string("\0.wmap", 6), {.size_bytes = 1});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code() == ErrorCode::kInvalidArgument);
}

TEST_CASE("a target is found from the working directory too") {
  const TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  const auto done = write_all("plain", "new");
  std::filesystem::current_path(before);
  check_done(done);
  CHECK(read_file(dir / "plain") == "new");
}

TEST_CASE("the longest name a file can have is written") {
  for (const Scenario& scenario : kScenarios) {
    CAPTURE(scenario.name);
    const TempDir dir;
    const std::string name(255, 'n');
    if (scenario.target_exists) write_file(dir / name, "old");
    const CallSeam seam([&](const SeenCall& call) { return kernel_of(scenario, call); });
    check_done(write_all(dir / name, "new"));
    CHECK(dir.names() == Names{name});
    CHECK(read_file(dir / name) == "new");
  }
}

TEST_CASE("no file is larger than offsets reach") {
  const TempDir dir;
  const auto writer = FileWriter::create(dir / "out", {.size_bytes = std::uint64_t{1} << 63U});
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code() == ErrorCode::kInvalidArgument);
  CHECK(dir.names().empty());
}

TEST_CASE("what does not fit on the disk is refused before anything is written") {
  const TempDir dir;
  const auto writer = FileWriter::create(dir / "out", {.size_bytes = std::uint64_t{1} << 60U});
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code() == ErrorCode::kIo);
  CHECK(writer.error().message().find("cannot allocate 1152921504606846976 bytes: ") !=
        std::string::npos);
  CHECK(dir.names().empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
