// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_file.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::noise;
using tests::open_descriptors;
using tests::read_file;
using tests::TempDir;
using tests::text_of;
using tests::write_file;

MappedFile map_path(const std::string& path, MapOptions options = {}) {
  auto file = File::open(path);
  REQUIRE(file);
  auto mapped = MappedFile::map(std::move(*file), options);
  REQUIRE_MESSAGE(mapped.has_value(), mapped.error().message());
  return std::move(*mapped);
}

std::string read_string(const MappedFile& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  REQUIRE(file.read_at(offset, std::as_writable_bytes(std::span(text))));
  return text;
}

ErrorCode code_of_read(const MappedFile& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '?');
  const auto done = file.read_at(offset, std::as_writable_bytes(std::span(text)));
  REQUIRE_FALSE(done);
  CHECK(done.error().message().starts_with(file.path() + ": "));
  return done.error().code();
}

// What the kernel says about each mapping of a file in this process: the first line of each is
// "<addresses> <permissions> <offset> <device> <inode> <path>".
std::vector<std::string> mappings_of(const std::string& path) {
  std::istringstream lines(read_file("/proc/self/smaps"));
  std::vector<std::string> found;
  bool ours = false;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first_space = line.find(' ');
    const bool heading = line.find('-') < first_space && line[first_space - 1] != ':';
    if (heading) ours = line.ends_with(path);
    if (heading && ours) found.emplace_back();
    if (ours) found.back() += line + "\n";
  }
  return found;
}

std::string field_of(const std::string& mapping, const std::string& name) {
  const std::size_t begin = mapping.find("\n" + name + ":");
  REQUIRE(begin != std::string::npos);
  const std::size_t value = mapping.find_first_not_of(' ', begin + name.size() + 2);
  return mapping.substr(value, mapping.find('\n', value) - value);
}

TEST_SUITE_BEGIN("io/mapped_file");

TEST_CASE("the bytes of a mapping are those that another process reads") {
  const TempDir dir;
  write_file(dir / "file", noise(3'000'001));
  const MappedFile mapped = map_path(dir / "file");
  CHECK(mapped.path() == dir / "file");
  REQUIRE(mapped.bytes().size() == 3'000'001);
  CHECK(text_of(mapped.bytes()) == tests::output_of("cat '" + (dir / "file") + "'"));
}

TEST_CASE("a file is one shared read-only mapping, and no page of it is touched") {
  const TempDir dir;
  write_file(dir / "file", noise(5U << 20U));
  const MappedFile mapped = map_path(dir / "file");
  const auto mappings = mappings_of(dir / "file");
  REQUIRE(mappings.size() == 1);
  CHECK(mappings[0].find(" r--s ") != std::string::npos);
  CHECK(field_of(mappings[0], "Size") == "5120 kB");
  CHECK(field_of(mappings[0], "Rss") == "0 kB");
}

TEST_CASE("huge pages are asked for unless the caller does not want them") {
  const TempDir dir;
  write_file(dir / "file", noise(4U << 20U));
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) {
    MESSAGE("SKIPPED: this kernel has no transparent huge pages to ask for");
    return;
  }
  for (const bool wanted : {true, false}) {
    CAPTURE(wanted);
    const MappedFile mapped = map_path(dir / "file", {.huge_pages = wanted});
    const auto mappings = mappings_of(dir / "file");
    REQUIRE(mappings.size() == 1);
    const bool asked = field_of(mappings[0], "VmFlags").find(" hg") != std::string::npos;
    CHECK(asked == wanted);
  }
}

TEST_CASE("an empty file has no mapping and empty bytes") {
  const TempDir dir;
  write_file(dir / "empty", "");
  const MappedFile mapped = map_path(dir / "empty");
  CHECK(mapped.bytes().empty());
  CHECK(mappings_of(dir / "empty").empty());
  CHECK(code_of_read(mapped, 0, 1) == ErrorCode::kCorrupt);
}

TEST_CASE("a mapping shows what others write to the file in place") {
  const TempDir dir;
  write_file(dir / "file", std::string(10'000, 'a'));
  const MappedFile mapped = map_path(dir / "file");
  const int writer = ::open((dir / "file").c_str(), O_WRONLY);
  REQUIRE(::pwrite(writer, "b", 1, 9'000) == 1);
  ::close(writer);
  CHECK(std::to_integer<char>(mapped.bytes()[9'000]) == 'b');
  CHECK(read_string(mapped, 8'999, 3) == "aba");
}

TEST_CASE("the address stays when a mapping is moved") {
  const TempDir dir;
  write_file(dir / "file", noise(10'000));
  MappedFile first = map_path(dir / "file");
  const std::byte* const address = first.bytes().data();
  const MappedFile second = std::move(first);
  CHECK(second.bytes().data() == address);
  CHECK(text_of(second.bytes()) == noise(10'000));
  CHECK(read_string(second, 9'000, 1'000) == noise(10'000).substr(9'000));
}

TEST_CASE("a file that is cut short is an error to read_at, not a signal") {
  const TempDir dir;
  write_file(dir / "file", noise(20'000));
  const MappedFile mapped = map_path(dir / "file");
  std::filesystem::resize_file(dir / "file", 100);
  CHECK(read_string(mapped, 0, 100) == noise(20'000).substr(0, 100));
  CHECK(code_of_read(mapped, 16'384, 10) == ErrorCode::kCorrupt);
}

TEST_CASE("a mapping outlives the name of its file") {
  const TempDir dir;
  write_file(dir / "file", noise(10'000, 1));
  const MappedFile mapped = map_path(dir / "file");
  write_file(dir / "new", noise(10'000, 2));
  std::filesystem::rename(dir / "new", dir / "file");
  CHECK(text_of(mapped.bytes()) == noise(10'000, 1));
  std::filesystem::remove(dir / "file");
  CHECK(text_of(mapped.bytes()) == noise(10'000, 1));
}

TEST_CASE("bytes beyond 4 GiB are mapped where they are") {
  const TempDir dir;
  const std::uint64_t size = std::uint64_t{5} << 30U;
  write_file(dir / "big", "begin");
  std::filesystem::resize_file(dir / "big", size - 3);
  {
    std::ofstream out(dir / "big", std::ios::binary | std::ios::app);
    out << "end";
  }
  const MappedFile mapped = map_path(dir / "big");
  REQUIRE(mapped.bytes().size() == size);
  CHECK(text_of(mapped.bytes().first(6)) == std::string_view("begin\0", 6));
  CHECK(text_of(mapped.bytes().last(4)) == std::string_view("\0end", 4));
  CHECK(read_string(mapped, size - 3, 3) == "end");
}

TEST_CASE("what the system will not map is told in its words") {
  const TempDir dir;
  write_file(dir / "file", "x");
  const int write_only = ::open((dir / "file").c_str(), O_WRONLY);
  auto file = File::from_descriptor(write_only, "write-only");
  ::close(write_only);
  REQUIRE(file);
  const auto mapped = MappedFile::map(std::move(*file));
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().code() == ErrorCode::kIo);
  CHECK(mapped.error().message() == "write-only: cannot map: permission denied");
}

TEST_CASE("neither mappings nor descriptors are left behind") {
  const TempDir dir;
  write_file(dir / "one", noise(10'000, 1));
  write_file(dir / "two", noise(10'000, 2));
  const std::size_t before = open_descriptors();
  {
    MappedFile mapped = map_path(dir / "one");
    mapped = map_path(dir / "two");
    CHECK(text_of(mapped.bytes()) == noise(10'000, 2));
    CHECK(mappings_of(dir / "one").empty());
    CHECK(open_descriptors() == before + 1);
  }
  CHECK(mappings_of(dir / "two").empty());
  CHECK(open_descriptors() == before);
}

struct alignas(64) Block {
  std::byte bytes[128];
};

TEST_CASE("memory stands for a file for as long as its owner is kept") {
  auto block = std::make_shared<Block>();
  std::ranges::copy(tests::bytes_of(noise(128)), block->bytes);
  const std::weak_ptr<Block> watched = block;
  {
    auto made = MappedFile::from_memory(block->bytes, block, "in memory");
    REQUIRE(made);
    block.reset();
    const MappedFile mapped = std::move(*made);
    CHECK_FALSE(watched.expired());
    CHECK(mapped.path() == "in memory");
    CHECK(text_of(mapped.bytes()) == noise(128));
    CHECK(read_string(mapped, 100, 28) == noise(128).substr(100));
    CHECK(read_string(mapped, 128, 0).empty());
    CHECK(code_of_read(mapped, 100, 29) == ErrorCode::kCorrupt);
    CHECK(code_of_read(mapped, ~std::uint64_t{0}, 2) == ErrorCode::kCorrupt);
  }
  CHECK(watched.expired());
}

TEST_CASE("memory that is not 64-byte aligned is refused") {
  const auto block = std::make_shared<Block>();
  for (const std::size_t beyond : {1U, 4U, 16U, 32U, 63U}) {
    CAPTURE(beyond);
    const auto made =
        MappedFile::from_memory(std::span(block->bytes).subspan(beyond), block, "in memory");
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == ErrorCode::kInvalidArgument);
    CHECK(made.error().message().starts_with("in memory: "));
  }
  CHECK(MappedFile::from_memory(std::span(block->bytes).subspan(64), block, "in memory"));
}

TEST_CASE("no memory at all is an empty file") {
  const auto made = MappedFile::from_memory({}, nullptr, "nothing");
  REQUIRE(made);
  CHECK(made->bytes().empty());
  CHECK(read_string(*made, 0, 0).empty());
  CHECK(code_of_read(*made, 0, 1) == ErrorCode::kCorrupt);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
