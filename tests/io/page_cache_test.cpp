// SPDX-License-Identifier: Apache-2.0
#include "io/page_cache.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <sys/mman.h>

#include <doctest/doctest.h>

#include "io/file_writer.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::noise;
using tests::TempDir;
using tests::write_file;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

MappedFile map_path(const std::string& path) {
  auto file = File::open(path);
  REQUIRE(file);
  auto mapped = MappedFile::map(std::move(*file));
  REQUIRE(mapped);
  return std::move(*mapped);
}

CachedBytes look(const MappedFile& file) {
  const auto found = look_into_cache(file);
  REQUIRE(found);
  CHECK(found->huge.value_or(0) <= found->cached);
  return *found;
}

// What fincore(1) says: another program's word.
std::uint64_t cached_by_fincore(const std::string& path) {
  const std::string command = "fincore --bytes --noheadings --output RES '" + path + "'";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"),
                                                             &::pclose);
  REQUIRE(pipe != nullptr);
  std::array<char, 64> line{};
  REQUIRE(std::fgets(line.data(), line.size(), pipe.get()) != nullptr);
  return std::strtoull(line.data(), nullptr, 10);
}

TEST_SUITE("io/page_cache") {
  TEST_CASE("what was just written is there, to the last byte") {
    const TempDir dir;
    write_file(dir / "a", noise(3 * kMiB + 5'000));
    const MappedFile file = map_path(dir / "a");
    CHECK(look(file).cached == 3 * kMiB + 5'000);
    CHECK(cached_by_fincore(dir / "a") == 3 * kMiB + 8'192);
  }

  TEST_CASE(
      "what is dropped is gone, as far as the file system lets it go, and looking brings nothing "
      "back") {
    const TempDir dir;
    write_file(dir / "a", noise(8 * kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(drop_from_cache(file));
    const std::uint64_t left = cached_by_fincore(dir / "a");
    CHECK(look(file).cached == left);
    CHECK(look(file).cached == left);
    MESSAGE("left of 8 MiB: ", left);
  }

  TEST_CASE("pages that come back by themselves are counted one by one") {
    const TempDir dir;
    write_file(dir / "a", noise(8 * kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(drop_from_cache(file));
    std::array<std::byte, 1> byte{};
    REQUIRE(file.read_at(5 * kMiB + 17, byte));
    CHECK(look(file).cached == cached_by_fincore(dir / "a"));
    CHECK(look(file).cached >= 4'096);
  }

  TEST_CASE("pages that are in use stay") {
    const TempDir dir;
    write_file(dir / "a", noise(4 * kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(file.prefault(0, 4 * kMiB));
    REQUIRE(drop_from_cache(file));
    CHECK(cached_by_fincore(dir / "a") == 4 * kMiB);
  }

  TEST_CASE("small writes leave small pages, the writer leaves large ones where there are such") {
    const TempDir dir;
    {
      std::unique_ptr<std::FILE, int (*)(std::FILE*)> small(
          std::fopen((dir / "small").c_str(), "w"), &std::fclose);
      const std::string piece = noise(4'096);
      std::setvbuf(small.get(), nullptr, _IONBF, 0);
      for (int i = 0; i < 2'048; ++i)
        REQUIRE(std::fwrite(piece.data(), 1, piece.size(), small.get()) == piece.size());
    }
    CHECK(look(map_path(dir / "small")).huge.value_or(0) == 0);

    auto writer = FileWriter::create(dir / "large", {.size_bytes = 8 * kMiB, .sync = false});
    REQUIRE(writer);
    const std::string bytes = noise(8 * kMiB);
    REQUIRE(writer->write(std::as_bytes(std::span(bytes))));
    REQUIRE(writer->commit());
    const auto large = look(map_path(dir / "large"));
    CHECK(large.cached == 8 * kMiB);
    CHECK(large.huge.value_or(0) % (2 * kMiB) == 0);
    MESSAGE("in pages of 2 MiB, of 8 MiB: ", large.huge.value_or(0));
  }

  TEST_CASE("an empty file has nothing, memory is there") {
    const TempDir dir;
    write_file(dir / "empty", "");
    CHECK(look(map_path(dir / "empty")).cached == 0);
    alignas(64) static const std::array<std::byte, 128> bytes{};
    const auto memory = MappedFile::from_memory(bytes, nullptr, "memory");
    REQUIRE(memory);
    CHECK(look(*memory).cached == 128);
    CHECK(drop_from_cache(*memory));
  }
}

}  // namespace
}  // namespace weightmap::io
