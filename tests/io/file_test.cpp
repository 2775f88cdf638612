// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::CallSeam;
using tests::noise;
using tests::open_descriptors;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_file;

std::string read_string(const File& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  const auto done = file.read_at(offset, std::as_writable_bytes(std::span(text)));
  REQUIRE_MESSAGE(done.has_value(), done.error().message());
  return text;
}

ErrorCode code_of_read(const File& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  const auto done = file.read_at(offset, std::as_writable_bytes(std::span(text)));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().message().starts_with(file.path() + ": "));
  return done.error().code();
}

void make_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  const int made = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(made);
}

TEST_SUITE_BEGIN("io/file");

TEST_CASE("a file is read as it was written, from any offset") {
  const TempDir dir;
  const std::string bytes = noise(10'000);
  write_file(dir / "data", bytes);
  const auto file = File::open(dir / "data");
  REQUIRE(file);
  CHECK(file->path() == dir / "data");
  CHECK(file->size_bytes() == 10'000);
  CHECK(read_string(*file, 0, 10'000) == bytes);
  CHECK(read_string(*file, 9'999, 1) == bytes.substr(9'999));
  CHECK(read_string(*file, 4'095, 3) == bytes.substr(4'095, 3));
  CHECK(read_string(*file, 10'000, 0).empty());
}

TEST_CASE("an empty file opens and holds nothing") {
  const TempDir dir;
  write_file(dir / "empty", "");
  const auto file = File::open(dir / "empty");
  REQUIRE(file);
  CHECK(file->size_bytes() == 0);
  CHECK(read_string(*file, 0, 0).empty());
  CHECK(code_of_read(*file, 0, 1) == ErrorCode::kCorrupt);
}

TEST_CASE("what is not a regular file is refused in words") {
  const TempDir dir;
  write_file(dir / "file", "x");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  make_socket(dir / "socket");
  std::filesystem::create_symlink("nowhere", dir / "dangling");
  std::filesystem::create_symlink("loop", dir / "loop");
  struct Row {
    std::string path;
    ErrorCode code;
    std::string_view words;
  };
  const Row rows[] = {
      {dir.path(), ErrorCode::kInvalidArgument, "is a directory, not a regular file"},
      {dir / "fifo", ErrorCode::kInvalidArgument, "is a FIFO, not a regular file"},
      {dir / "socket", ErrorCode::kInvalidArgument, "is a socket, not a regular file"},
      {"/dev/null", ErrorCode::kInvalidArgument, "is a character device, not a regular file"},
      {dir / "none", ErrorCode::kNotFound, "no such file"},
      {dir / "none/file", ErrorCode::kNotFound, "no such file"},
      {dir / "file/below", ErrorCode::kNotFound, "not a directory"},
      {dir / "dangling", ErrorCode::kNotFound, "no such file"},
      {dir / "loop", ErrorCode::kIo, "too many levels of symbolic links"},
      {dir / std::string(300, 'x'), ErrorCode::kIo, "file name too long"},
      {"", ErrorCode::kNotFound, "no such file"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path);
    const auto file = File::open(row.path);
    REQUIRE_FALSE(file);
    CHECK(file.error().code() == row.code);
    CHECK(file.error().message().starts_with(row.path + ": "));
    CHECK_MESSAGE(file.error().message().find(row.words) != std::string::npos,
                  file.error().message());
  }
}

TEST_CASE("a path with a NUL byte does not open the file before the NUL") {
  const TempDir dir;
  write_file(dir / "file", "x");
  const auto file = File::open((dir / "file") + std::string("\0.pt", 4));
  REQUIRE_FALSE(file);
  CHECK(file.error().code() == ErrorCode::kInvalidArgument);
}

TEST_CASE("a refusal by the system is told with its words") {
  const TempDir dir;
  write_file(dir / "file", "x");
  const CallSeam seam([](const SeenCall&) { return Verdict{.error = EACCES}; });
  const auto file = File::open(dir / "file");
  REQUIRE_FALSE(file);
  CHECK(file.error().code() == ErrorCode::kIo);
  CHECK(file.error().message() == (dir / "file") + ": cannot open: permission denied");
}

TEST_CASE("a link and its target have one identity, a copy has another") {
  const TempDir dir;
  write_file(dir / "file", "x");
  std::filesystem::create_symlink("file", dir / "soft");
  std::filesystem::create_hard_link(dir / "file", dir / "hard");
  std::filesystem::copy_file(dir / "file", dir / "copy");
  const auto identity = [&](std::string_view name) { return File::open(dir / name)->identity(); };
  CHECK(identity("soft") == identity("file"));
  CHECK(identity("hard") == identity("file"));
  CHECK_FALSE(identity("copy") == identity("file"));
}

TEST_CASE("a descriptor is duplicated, and the caller keeps its own") {
  const TempDir dir;
  write_file(dir / "file", "0123456789");
  const int mine = ::open((dir / "file").c_str(), O_RDONLY);
  REQUIRE(::lseek(mine, 4, SEEK_SET) == 4);
  {
    const auto file = File::from_descriptor(mine, "a name");
    REQUIRE(file);
    CHECK(file->path() == "a name");
    CHECK(file->descriptor() != mine);
    CHECK(file->size_bytes() == 10);
    CHECK(read_string(*file, 0, 10) == "0123456789");
  }
  char next = 0;
  CHECK(::read(mine, &next, 1) == 1);
  CHECK(next == '4');
  ::close(mine);
}

TEST_CASE("a duplicate outlives the caller's descriptor") {
  const TempDir dir;
  write_file(dir / "file", "abc");
  const int mine = ::open((dir / "file").c_str(), O_RDONLY);
  const auto file = File::from_descriptor(mine, "kept");
  ::close(mine);
  REQUIRE(file);
  CHECK(read_string(*file, 0, 3) == "abc");
}

TEST_CASE("a descriptor of nothing, or of no regular file, is refused") {
  const TempDir dir;
  const auto closed = File::from_descriptor(-1, "none");
  REQUIRE_FALSE(closed);
  CHECK(closed.error().code() == ErrorCode::kIo);
  CHECK(closed.error().message().starts_with("none: "));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto pipe = File::from_descriptor(ends[0], "pipe");
  REQUIRE_FALSE(pipe);
  CHECK(pipe.error().code() == ErrorCode::kInvalidArgument);
  CHECK(pipe.error().message() == "pipe: is a FIFO, not a regular file");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a program that is started inherits no descriptor") {
  const TempDir dir;
  write_file(dir / "file", "x");
  const auto opened = File::open(dir / "file");
  const auto duplicate = File::from_descriptor(opened->descriptor(), "duplicate");
  const std::string inherited = tests::output_of("ls -l /proc/self/fd");
  CHECK(inherited.find("/dev/") != std::string::npos);
  CHECK(inherited.find(dir.path()) == std::string::npos);
}

TEST_CASE("short and interrupted reads are carried on with") {
  const TempDir dir;
  const std::string bytes = noise(1'000);
  write_file(dir / "file", bytes);
  const auto file = File::open(dir / "file");
  int calls = 0;
  const CallSeam seam([&](const SeenCall& call) {
    if (call.name == "pread" && ++calls % 2 == 0) return Verdict{.error = EINTR};
    return Verdict{.at_most = 7};
  });
  CHECK(read_string(*file, 0, 1'000) == bytes);
  CHECK(calls > 200);
}

TEST_CASE("an interrupted open is carried on with") {
  const TempDir dir;
  write_file(dir / "file", "x");
  int calls = 0;
  const CallSeam seam([&](const SeenCall&) { return Verdict{.error = ++calls < 3 ? EINTR : 0}; });
  CHECK(File::open(dir / "file").has_value());
  CHECK(calls == 3);
}

TEST_CASE("a broken device is an error of the system, not of the file") {
  const TempDir dir;
  write_file(dir / "file", "x");
  const auto file = File::open(dir / "file");
  const CallSeam seam([](const SeenCall&) { return Verdict{.error = EIO}; });
  CHECK(code_of_read(*file, 0, 1) == ErrorCode::kIo);
}

TEST_CASE("a file cut short after it was opened is corrupt where bytes are gone") {
  const TempDir dir;
  write_file(dir / "file", noise(9'000));
  const auto file = File::open(dir / "file");
  std::filesystem::resize_file(dir / "file", 5'000);
  CHECK(file->size_bytes() == 9'000);
  CHECK(read_string(*file, 4'000, 1'000) == noise(9'000).substr(4'000, 1'000));
  CHECK(code_of_read(*file, 4'000, 1'001) == ErrorCode::kCorrupt);
  CHECK(code_of_read(*file, 8'999, 1) == ErrorCode::kCorrupt);
}

TEST_CASE("no offset overflows") {
  const TempDir dir;
  write_file(dir / "file", "0123456789");
  const auto file = File::open(dir / "file");
  const std::uint64_t largest = ~std::uint64_t{0};
  for (const std::uint64_t offset :
       {std::uint64_t{10}, largest >> 1U, (largest >> 1U) + 1, largest - 3, largest}) {
    CAPTURE(offset);
    CHECK(code_of_read(*file, offset, 4) == ErrorCode::kCorrupt);
  }
}

TEST_CASE("bytes beyond 4 GiB are read where they are") {
  const TempDir dir;
  const std::uint64_t offset = (std::uint64_t{1} << 32U) + 12'345;
  write_file(dir / "big", "begin");
  std::filesystem::resize_file(dir / "big", offset);
  {
    std::ofstream out(dir / "big", std::ios::binary | std::ios::app);
    out << "end";
  }
  const auto file = File::open(dir / "big");
  REQUIRE(file);
  CHECK(file->size_bytes() == offset + 3);
  CHECK(read_string(*file, offset, 3) == "end");
  CHECK(read_string(*file, 0, 6) == std::string("begin\0", 6));
  CHECK(code_of_read(*file, offset, 4) == ErrorCode::kCorrupt);
}

TEST_CASE("several threads may read at once") {
  const TempDir dir;
  const std::string bytes = noise(200'000);
  write_file(dir / "file", bytes);
  const auto file = File::open(dir / "file");
  std::array<std::string, 4> read;
  std::array<std::thread, 4> threads;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    read[i].resize(50'000);
    threads[i] = std::thread([&file, &text = read[i], i] {
      for (std::size_t at = 0; at < text.size(); at += 1'000) {
        const auto into = std::as_writable_bytes(std::span(text)).subspan(at, 1'000);
        if (!file->read_at(i * 50'000 + at, into)) text[at] ^= 1;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < read.size(); ++i)
    CHECK(read[i] == bytes.substr(i * 50'000, 50'000));
}

TEST_CASE("a file that is moved keeps its descriptor, and all are closed at the end") {
  const TempDir dir;
  write_file(dir / "one", "1");
  write_file(dir / "two", "2");
  const std::size_t before = open_descriptors();
  {
    auto one = File::open(dir / "one");
    auto two = File::open(dir / "two");
    CHECK(open_descriptors() == before + 2);
    File moved = std::move(*one);
    CHECK(read_string(moved, 0, 1) == "1");
    moved = std::move(*two);
    CHECK(read_string(moved, 0, 1) == "2");
    CHECK(open_descriptors() == before + 1);
  }
  CHECK_FALSE(File::open(dir.path()));
  CHECK_FALSE(File::from_descriptor(-1, "none"));
  CHECK(open_descriptors() == before);
}

TEST_CASE("a slice is a file of its own that ends where it is said to") {
  const TempDir dir;
  write_file(dir / "file", "0123456789");
  auto file = File::open(dir / "file");
  REQUIRE(file);
  const std::size_t before = open_descriptors();
  const File slice = file->slice(2, 5);
  CHECK(open_descriptors() == before);
  CHECK(slice.size_bytes() == 5);
  CHECK(slice.path() == dir / "file: bytes 2 to 7");
  CHECK(read_string(slice, 0, 5) == "23456");
  CHECK(read_string(slice, 4, 1) == "6");
  CHECK(read_string(slice, 5, 0).empty());
  CHECK(code_of_read(slice, 4, 2) == ErrorCode::kCorrupt);
  CHECK(code_of_read(slice, 6, 0) == ErrorCode::kCorrupt);
  CHECK(code_of_read(slice, ~std::uint64_t{0}, 2) == ErrorCode::kCorrupt);
  const File inner = slice.slice(1, 2);
  CHECK(read_string(inner, 0, 2) == "34");
  CHECK(code_of_read(inner, 0, 3) == ErrorCode::kCorrupt);
  file = File::open(dir / "missing");  // the whole file goes, its slices stay
  CHECK(read_string(inner, 0, 2) == "34");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
