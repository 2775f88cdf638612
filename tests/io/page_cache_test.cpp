// SPDX-License-Identifier: Apache-2.0
#include "io/page_cache.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "io/descriptor.h"
#include "io/file_writer.h"
#include "support/file_bytes.h"
#include "support/process.h"
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

CacheCells look_along(const MappedFile& file, std::size_t most_cells) {
  const auto found = look_along_cache(file, most_cells);
  REQUIRE(found);
  REQUIRE(*found);
  return **found;
}

std::vector<std::uint64_t> cached_of(const CacheCells& cells) {
  std::vector<std::uint64_t> cached;
  for (const CachedBytes& cell : cells.cells) {
    CHECK(cell.huge.value_or(0) <= cell.cached);
    cached.push_back(cell.cached);
  }
  return cached;
}

// Brings in what there is of these bytes, by a way that reads nothing around them.
void read_alone(const MappedFile& file, std::uint64_t offset, std::uint64_t size) {
  const int descriptor = file.file()->descriptor();
  REQUIRE(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM) == 0);
  std::string bytes(size, '\0');
  REQUIRE(::pread(descriptor, bytes.data(), size, static_cast<off_t>(offset)) ==
          static_cast<ssize_t>(size));
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

  TEST_CASE("cells stand for equal ranges, the last for what is left") {
    const TempDir dir;
    write_file(dir / "a", noise(3 * kMiB + 5'000));
    const MappedFile file = map_path(dir / "a");
    const CacheCells whole = look_along(file, 1);
    CHECK(whole.cell_bytes == 4 * kMiB);
    CHECK(cached_of(whole) == std::vector<std::uint64_t>{3 * kMiB + 5'000});
    const CacheCells three = look_along(file, 3);
    CHECK(three.cell_bytes == kMiB + 4'096);
    CHECK(cached_of(three) == std::vector<std::uint64_t>{kMiB + 4'096, kMiB + 4'096, kMiB - 3'192});
    const CacheCells many = look_along(file, kMostCells);
    CHECK(many.cell_bytes == 4'096);
    CHECK(many.cells.size() == 3 * 256 + 2);
    CHECK(many.cells.back().cached == 5'000 - 4'096);
  }

  TEST_CASE("cells longer than 2 MiB begin on a border of pages of 2 MiB") {
    const TempDir dir;
    write_file(dir / "a", std::string(20 * kMiB + 1, 'a'));
    const CacheCells cells = look_along(map_path(dir / "a"), 7);
    CHECK(cells.cell_bytes == 4 * kMiB);
    CHECK(cached_of(cells) ==
          std::vector<std::uint64_t>{4 * kMiB, 4 * kMiB, 4 * kMiB, 4 * kMiB, 4 * kMiB, 1});
  }

  TEST_CASE("what was read alone is in its cells and in no others, and looking adds nothing") {
    const TempDir dir;
    write_file(dir / "a", noise(8 * kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(drop_from_cache(file));
    read_alone(file, 3 * kMiB, 8'192);
    read_alone(file, 7 * kMiB + 4'096, 4'096);
    if (cached_by_fincore(dir / "a") != 12'288) {
      MESSAGE("SKIPPED: this file system drops nothing, or reads more than it is asked for");
      return;
    }
    for (int again = 0; again < 2; ++again) {
      CHECK(cached_of(look_along(file, 8)) ==
            std::vector<std::uint64_t>{0, 0, 0, 8'192, 0, 0, 0, 4'096});
    }
    CHECK(cached_by_fincore(dir / "a") == 12'288);
  }

  TEST_CASE("marks that readers in sequence have left bring in nothing when they are looked at") {
    const TempDir dir;
    write_file(dir / "a", noise(64 * kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(drop_from_cache(file));
    std::string piece(kMiB, '\0');
    for (std::uint64_t begin = 0; begin < 5 * kMiB; begin += kMiB)
      REQUIRE(file.read_at(begin, std::as_writable_bytes(std::span(piece))));
    // Also what is only on its way: fincore does not see that.
    const auto before = count_cached(file);
    if (!before) {
      MESSAGE("SKIPPED: this kernel has no cachestat");
      return;
    }
    look(file);
    CHECK(count_cached(file)->cached == before->cached);
  }

  TEST_CASE("huge pages are found where they are") {
    const TempDir dir;
    auto writer = FileWriter::create(dir / "a", {.size_bytes = 16 * kMiB, .sync = false});
    REQUIRE(writer);
    const std::string bytes = noise(16 * kMiB);
    REQUIRE(writer->write(std::as_bytes(std::span(bytes))));
    REQUIRE(writer->commit());
    const MappedFile file = map_path(dir / "a");
    const std::uint64_t all = look(file).huge.value_or(0);
    if (all != 16 * kMiB) {
      MESSAGE("SKIPPED: this file system keeps no file in pages of 2 MiB");
      return;
    }
    for (const std::size_t cells : {1U, 3U, 8U, 64U}) {
      CAPTURE(cells);
      for (const CachedBytes& cell : look_along(file, cells).cells)
        CHECK(cell.huge == cell.cached);
    }
    // A hole takes the pages of the third and the fourth of the eight away.
    REQUIRE(::fallocate(Descriptor(::open((dir / "a").c_str(), O_RDWR | O_CLOEXEC)).get(),
                        FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * kMiB, 4 * kMiB) == 0);
    const CacheCells cells = look_along(file, 8);
    CHECK(cached_of(cells) == std::vector<std::uint64_t>{2 * kMiB, 2 * kMiB, 0, 0, 2 * kMiB,
                                                         2 * kMiB, 2 * kMiB, 2 * kMiB});
    for (const std::size_t cell : {0U, 1U, 4U, 5U, 6U, 7U})
      CHECK(cells.cells[cell].huge == 2 * kMiB);
    CHECK(cells.cells[2].huge == 0);
  }

  TEST_CASE("the kernel's own count is the same as what is seen") {
    const TempDir dir;
    write_file(dir / "a", noise(3 * kMiB + 5'000));
    const MappedFile file = map_path(dir / "a");
    const auto counts = count_cached(file);
    if (!counts) {
      MESSAGE("SKIPPED: this kernel has no cachestat");
      return;
    }
    CHECK(counts->cached == 3 * kMiB + 8'192);
    CHECK(counts->dirty + counts->writeback <= counts->cached);
    REQUIRE(drop_from_cache(file));
    const auto dropped = count_cached(file);
    REQUIRE(dropped);
    CHECK(dropped->cached == cached_by_fincore(dir / "a"));
    CHECK(dropped->dirty == 0);
  }

  TEST_CASE("of a file of others that one may only read the kernel tells nothing") {
    if (::geteuid() != 0) {
      MESSAGE("SKIPPED: only root can become somebody else");
      return;
    }
    const TempDir dir;
    write_file(dir / "a", noise(kMiB));
    const MappedFile file = map_path(dir / "a");
    REQUIRE(drop_from_cache(file));
    const std::uint64_t before = cached_by_fincore(dir / "a");
    CHECK(tests::exited_well(tests::in_child([&] {
      if (::setresuid(65'534, 65'534, 65'534) != 0) return false;
      const auto along = look_along_cache(file, 8);
      const auto whole = look_into_cache(file);
      return along && !*along && whole && whole->cached == kMiB && !whole->huge &&
             !count_cached(file);
    })));
    CHECK(cached_by_fincore(dir / "a") == before);
    REQUIRE(::chmod((dir / "a").c_str(), 0666) == 0);
    CHECK(tests::exited_well(tests::in_child([&] {
      if (::setresuid(65'534, 65'534, 65'534) != 0) return false;
      const auto along = look_along_cache(file, 8);
      return along && *along;
    })));
  }

  TEST_CASE("an empty file has nothing, memory is there") {
    const TempDir dir;
    write_file(dir / "empty", "");
    CHECK(look(map_path(dir / "empty")).cached == 0);
    CHECK(look_along(map_path(dir / "empty"), 8).cells.empty());
    alignas(64) static const std::array<std::byte, 128> bytes{};
    const auto memory = MappedFile::from_memory(bytes, nullptr, "memory");
    REQUIRE(memory);
    CHECK(look(*memory).cached == 128);
    CHECK(cached_of(look_along(*memory, 8)) == std::vector<std::uint64_t>{128});
    CHECK_FALSE(count_cached(*memory));
    CHECK(drop_from_cache(*memory));
  }
}

}  // namespace
}  // namespace weightmap::io
