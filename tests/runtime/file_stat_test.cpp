// SPDX-License-Identifier: Apache-2.0
// Real processes map files, and what is told of them is held against what smaps says to a reader of
// its own (support/smaps.h).
#include "weightmap/file_stat.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/prefault.h"
#include "weightmap/publish.h"
#include "weightmap/weight_file.h"

#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;
using tests::WaitingChild;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kPage = 4'096;

std::string model_bytes(std::byte value = std::byte{1}) {
  format::Content content;
  content.tensors.push_back(tests::tensor_in(0, "t", {1 << 20}));
  const auto built = tests::build_file(content, {std::vector<std::byte>(4 * kMiB, value)});
  return std::string(tests::text_of(built->bytes()));
}

std::string write_model(const TempDir& dir, const std::string& name = "model.wmap") {
  tests::write_file(dir / name, model_bytes());
  return dir / name;
}

// A weight file without bytes of its own over one that lies beside it; who it is stands at byte 96
// of its header.
std::string bytes_over(const std::string& base, const std::string& name) {
  format::Content content;
  content.tensors.push_back(tests::tensor_in(0, "t", {16}));
  Digest identity;
  std::ranges::copy(tests::bytes_of(base).subspan(96, 16), identity.bytes.begin());
  content.data_files = {{.name = name,
                         .kind = fb::DataFileKind::wmap,
                         .size_bytes = base.size(),
                         .alignment_bytes = 64,
                         .identity = identity,
                         .segments = {{base.size() - 64, 64}}}};
  const auto built = tests::build_file(content, {}, {Digest{}});
  return std::string(tests::text_of(built->bytes()));
}

std::string write_over(const TempDir& dir, const std::string& name, const std::string& base) {
  tests::write_file(dir / name, bytes_over(tests::read_file(dir / base), base));
  return dir / name;
}

FileStat looked(const std::string& path, const FileStatOptions& options = {}) {
  auto found = file_stat(path, options);
  REQUIRE_MESSAGE(found, found.error().message());
  REQUIRE(found->processes);
  return std::move(*found);
}

const ProcessStat* find_process(const FileStat& stat, std::uint32_t pid) {
  const auto found = std::ranges::find(*stat.processes, pid, &ProcessStat::pid);
  return found == stat.processes->end() ? nullptr : &*found;
}

const ProcessStat& process_of(const FileStat& stat, const WaitingChild& child) {
  const ProcessStat* const found = find_process(stat, child.pid());
  REQUIRE(found != nullptr);
  return *found;
}

// Maps a file by the system's own call, so that nothing of ours is between.
std::byte* map_all(const std::string& path, int protection, int flags) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto size = std::filesystem::file_size(path);
  void* const pages = ::mmap(nullptr, size, protection, flags, descriptor, 0);
  ::close(descriptor);
  return pages == MAP_FAILED ? nullptr : static_cast<std::byte*>(pages);
}

bool reads_all(const std::string& path) {
  const std::byte* const pages = map_all(path, PROT_READ, MAP_SHARED);
  if (pages == nullptr) return false;
  unsigned sum = 0;
  for (std::uint64_t i = 0; i < std::filesystem::file_size(path); i += kPage)
    sum += static_cast<unsigned>(static_cast<const volatile std::byte*>(pages)[i]);
  return sum > 0;
}

bool changes_pages(const std::string& path, std::uint64_t count) {
  std::byte* const pages = map_all(path, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  if (pages == nullptr) return false;
  for (std::uint64_t i = 0; i < count; ++i)
    static_cast<volatile std::byte*>(pages)[i * 3 * kPage] = std::byte{9};
  return true;
}

void check_against_smaps(const MappedBytes& bytes, const std::string& path, std::uint32_t pid) {
  const auto smaps = [&](std::string_view field) {
    return tests::bytes_of_mapping(path, field, std::to_string(pid));
  };
  CHECK(bytes.mapped_bytes == smaps("Size:"));
  CHECK(bytes.rss_bytes == smaps("Rss:"));
  CHECK(bytes.pss_bytes == smaps("Pss:"));
  CHECK(bytes.shared_clean_bytes == smaps("Shared_Clean:"));
  CHECK(bytes.shared_dirty_bytes == smaps("Shared_Dirty:"));
  CHECK(bytes.private_clean_bytes == smaps("Private_Clean:"));
  CHECK(bytes.private_dirty_bytes == smaps("Private_Dirty:"));
  CHECK(bytes.anonymous_bytes == smaps("Anonymous:"));
  CHECK(bytes.swap_bytes == smaps("Swap:"));
  CHECK(bytes.locked_bytes == smaps("Locked:"));
  CHECK(bytes.huge_bytes.value_or(0) == smaps("FilePmdMapped:"));
}

std::string field_of_status(std::uint32_t pid, std::string_view name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

void replace(const std::string& path, const std::string& bytes) {
  tests::write_file(path + ".new", bytes);
  std::filesystem::rename(path + ".new", path);
}

bool becomes_nobody() {
  return ::setgid(65'534) == 0 && ::setresuid(65'534, 65'534, 65'534) == 0;
}

TEST_SUITE("runtime/file_stat") {
  TEST_CASE("processes that share a file have it in full each, and by shares once") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const WaitingChild first([&] { return reads_all(path); });
    const WaitingChild second([&] { return reads_all(path); });
    const FileStat stat = looked(path);
    CHECK(stat.processes->size() == 2);
    const std::uint64_t size = std::filesystem::file_size(path);
    CHECK(stat.size_bytes == size);
    const std::uint64_t pages = (size + kPage - 1) / kPage * kPage;
    std::uint64_t shares = 0;
    for (const WaitingChild* const child : {&first, &second}) {
      const ProcessStat& process = process_of(stat, *child);
      CHECK(process.has(false));
      CHECK_FALSE(process.has(true));
      const MappedBytes bytes = process.total(false);
      CHECK(bytes.rss_bytes == pages);
      CHECK(bytes.anonymous_bytes == 0);
      shares += bytes.pss_bytes;
      check_against_smaps(bytes, path, child->pid());
    }
    CHECK(shares == pages);
  }

  TEST_CASE("a process is told by its name, its user and its page tables") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const WaitingChild child([&] { return reads_all(path); });
    const ProcessStat process = process_of(looked(path), child);
    CHECK(process.name == "runtime_tests");
    CHECK(process.user == ::geteuid());
    const std::string kib = field_of_status(child.pid(), "VmPTE:");
    CHECK(process.page_table_bytes == std::stoull(kib) * 1'024);
  }

  TEST_CASE("pages that a process has changed are its own") {
    const TempDir dir;
    const std::string path = write_model(dir);
    constexpr std::uint64_t kChanged = 5;
    const WaitingChild child([&] { return changes_pages(path, kChanged); });
    const MappedBytes bytes = process_of(looked(path), child).total(false);
    CHECK(bytes.anonymous_bytes == kChanged * kPage);
    CHECK(bytes.private_dirty_bytes == kChanged * kPage);
    CHECK(bytes.pss_bytes >= kChanged * kPage);
    check_against_smaps(bytes, path, child.pid());
  }

  TEST_CASE("a weight file that is opened, and not touched, is mapped and nothing of it is there") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const WaitingChild child([&] {
      static const auto file = WeightFile::open(path);
      return file.has_value();
    });
    const MappedBytes bytes = process_of(looked(path), child).total(false);
    CHECK(bytes.mapped_bytes >= 4 * kMiB);
    CHECK(bytes.rss_bytes == 0);
  }

  TEST_CASE("this process counts with what it has, not with the look itself") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const auto self = static_cast<std::uint32_t>(::getpid());
    CHECK(find_process(looked(path), self) == nullptr);
    const auto file = WeightFile::open(path);
    REQUIRE(file);
    REQUIRE(prefault(*file));
    const FileStat stat = looked(path);
    const ProcessStat* const process = find_process(stat, self);
    REQUIRE(process != nullptr);
    check_against_smaps(process->total(false), path, self);
    CHECK(process->total(false).rss_bytes >= 4 * kMiB);
  }

  TEST_CASE("who still has a version that was replaced is told apart") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const WaitingChild late([&] { return reads_all(path); });
    replace(path, model_bytes(std::byte{2}));
    const WaitingChild later([&] { return reads_all(path); });
    replace(path, model_bytes(std::byte{3}));
    const WaitingChild modern([&] { return reads_all(path); });
    const FileStat stat = looked(path);
    CHECK(stat.processes->size() == 3);
    for (const WaitingChild* const child : {&late, &later}) {
      const ProcessStat& process = process_of(stat, *child);
      CHECK_FALSE(process.has(false));
      CHECK(process.has(true));
      CHECK(process.total(false).mapped_bytes == 0);
      check_against_smaps(process.total(true), path + " (deleted)", child->pid());
      CHECK(process.total(true).rss_bytes >= 4 * kMiB);
    }
    CHECK(process_of(stat, modern).has(false));
    CHECK_FALSE(process_of(stat, modern).has(true));
  }

  TEST_CASE("a path with a newline, and one through a link, lead to the same processes") {
    const TempDir dir;
    const std::string path = write_model(dir, "line\nbreak.wmap");
    std::filesystem::create_symlink(path, dir / "link.wmap");
    const WaitingChild late([&] { return reads_all(path); });
    replace(path, model_bytes(std::byte{2}));
    const WaitingChild modern([&] { return reads_all(path); });
    for (const std::string& name : {path, dir / "link.wmap"}) {
      const FileStat stat = looked(name);
      CHECK(process_of(stat, late).has(true));
      CHECK(process_of(stat, modern).has(false));
    }
  }

  TEST_CASE("processes that have only a data file are among those that have the weight file") {
    const TempDir dir;
    write_model(dir, "base.wmap");
    const std::string path = write_over(dir, "delta.wmap", "base.wmap");
    const WaitingChild base([&] { return reads_all(dir / "base.wmap"); });
    const WaitingChild both([&] {
      static const auto file = WeightFile::open(path);
      return file && prefault(*file).has_value();
    });
    const FileStat stat = looked(path);
    REQUIRE(stat.data_files.size() == 2);
    const ProcessStat& one = process_of(stat, base);
    REQUIRE(one.mappings.size() == 1);
    CHECK(one.mappings[0].data_file == 1);
    check_against_smaps(one.mappings[0].bytes, dir / "base.wmap", base.pid());
    const ProcessStat& two = process_of(stat, both);
    REQUIRE(two.mappings.size() == 2);
    check_against_smaps(two.mappings[0].bytes, path, both.pid());
    check_against_smaps(two.mappings[1].bytes, dir / "base.wmap", both.pid());
    CHECK(two.total(false).mapped_bytes ==
          two.mappings[0].bytes.mapped_bytes + two.mappings[1].bytes.mapped_bytes);
    CHECK(looked(dir / "base.wmap").processes->size() == 2);
  }

  TEST_CASE("the page cache is told from front to back") {
    const TempDir dir;
    const std::string path = write_model(dir);
    const FileStat stat = looked(path, {.most_cells = 8});
    REQUIRE(stat.data_files.size() == 1);
    const DataFileStat& file = stat.data_files[0];
    CHECK(file.name.empty());
    CHECK(file.kind == "self");
    CHECK(file.path == path);
    CHECK(file.size_bytes == stat.size_bytes);
    CHECK(file.problem.empty());
    REQUIRE(file.cache);
    CHECK(file.cache->cells.size() == (stat.size_bytes - 1) / file.cache->cell_bytes + 1);
    CHECK(file.cache->cells.size() <= 8);
    CHECK(file.cache->cells[1].cached_bytes == file.cache->cell_bytes);
    CHECK(file.cache->total().cached_bytes == stat.size_bytes);
    if (file.cache->counts) {
      CHECK(file.cache->counts->dirty_bytes + file.cache->counts->writeback_bytes <=
            stat.size_bytes + kPage);
    }
  }

  TEST_CASE("any number of cells may be asked for") {
    const TempDir dir;
    const std::string path = write_model(dir);
    CHECK(looked(path, {.most_cells = 0}).data_files[0].cache->cells.size() == 1);
    const auto many = looked(path, {.most_cells = ~std::size_t{0}});
    CHECK(many.data_files[0].cache->cell_bytes == kPage);
  }

  TEST_CASE("sums over cells are as sure as the least sure cell") {
    CacheMap map;
    CHECK(map.total().cached_bytes == 0);
    CHECK(map.total().huge_bytes == 0);
    map.cells = {{4, 2}, {3, 0}};
    CHECK(map.total().cached_bytes == 7);
    CHECK(map.total().huge_bytes == 2);
    map.cells.push_back({1, std::nullopt});
    map.cells.push_back({1, 1});
    CHECK(map.total().cached_bytes == 9);
    CHECK_FALSE(map.total().huge_bytes);
  }

  TEST_CASE("weight files over one data file are told of each other") {
    const TempDir dir;
    write_model(dir, "base.wmap");
    write_model(dir, "stranger.wmap");
    std::filesystem::create_symlink("base.wmap", dir / "other_name");
    const std::string path = write_over(dir, "a.wmap", "base.wmap");
    write_over(dir, "b.wmap", "base.wmap");
    write_over(dir, "c.wmap", "other_name");
    std::filesystem::create_symlink("a.wmap", dir / "also_a.wmap");
    const FileStat stat = looked(path);
    REQUIRE(stat.data_files.size() == 2);
    CHECK(stat.data_files[0].shared_by.empty());
    CHECK(stat.data_files[1].name == "base.wmap");
    CHECK(stat.data_files[1].kind == "wmap");
    CHECK(stat.data_files[1].path == dir / "base.wmap");
    CHECK(stat.data_files[1].shared_by == std::vector<std::string>{"b.wmap", "c.wmap"});
    CHECK(stat.indexes_unread == 0);
    CHECK(stat.directory_problem.empty());
    const FileStat base = looked(dir / "base.wmap");
    CHECK(base.data_files[0].shared_by ==
          std::vector<std::string>{"a.wmap", "also_a.wmap", "b.wmap", "c.wmap"});
  }

  TEST_CASE("what may be a weight file and cannot be read is counted") {
    const TempDir dir;
    const std::string path = write_model(dir);
    tests::write_file(dir / "junk.wmap", "junk");
    std::filesystem::create_symlink("nowhere", dir / "dead.wmap");
    std::filesystem::create_directory(dir / "folder.wmap");
    REQUIRE(::mkfifo((dir / "pipe.wmap").c_str(), 0600) == 0);
    tests::write_file(dir / "junk.pt", "junk");
    CHECK(looked(path).indexes_unread == 4);
  }

  TEST_CASE("no more than 1,000 weight files are opened to find them") {
    const TempDir dir;
    const std::string path = write_model(dir);
    write_model(dir, "z.wmap");
    for (int i = 0; i < 1'002; ++i)
      std::filesystem::create_symlink("z.wmap", dir / ("link" + std::to_string(i) + ".wmap"));
    CHECK(looked(path).indexes_unread == 3);
  }

  TEST_CASE("a data file that is missing, or another one, is told and not looked at") {
    const TempDir dir;
    write_model(dir, "base.wmap");
    const std::string path = write_over(dir, "a.wmap", "base.wmap");
    tests::write_file(dir / "base.wmap", model_bytes().substr(1));
    const FileStat other = looked(path);
    CHECK(other.data_files[1].problem.find("is not the file") != std::string::npos);
    CHECK_FALSE(other.data_files[1].cache);
    std::filesystem::remove(dir / "base.wmap");
    const FileStat missing = looked(path);
    CHECK(missing.data_files[1].problem.find("is missing") != std::string::npos);
    CHECK(missing.data_files[1].size_bytes == model_bytes().size());
    CHECK(missing.data_files[1].path.empty());
  }

  TEST_CASE("who may not look into processes or files is told of how many, and of none") {
    if (::geteuid() != 0) {
      MESSAGE("SKIPPED: only root can become somebody else");
      return;
    }
    const TempDir dir;
    const std::string path = write_model(dir);
    const WaitingChild child([&] { return reads_all(path); });
    REQUIRE(::chmod(dir.path().c_str(), 0711) == 0);
    CHECK(tests::exited_well(tests::in_child([&] {
      if (!becomes_nobody()) return false;
      const auto stat = file_stat(path);
      return stat && stat->processes && find_process(*stat, child.pid()) == nullptr &&
             stat->hidden_processes >= 2 && !stat->data_files[0].cache &&
             stat->directory_problem.starts_with(dir.path() + ": cannot open");
    })));
    process_of(looked(path), child);
  }

  TEST_CASE("the generation is what publishes have counted, and a block that is damaged is told") {
    const TempDir dir;
    const std::string path = write_model(dir);
    CHECK_FALSE(looked(path).generation);
    for (std::uint64_t number = 1; number <= 2; ++number) {
      tests::write_file(dir / "new.wmap", model_bytes(static_cast<std::byte>(number)));
      REQUIRE(publish(dir / "new.wmap", path));
      const FileStat stat = looked(path);
      REQUIRE(stat.generation);
      CHECK(stat.generation->generation == number);
      CHECK_FALSE(stat.generation->is_publishing);
      CHECK(stat.generation->digest == stat.digest);
      CHECK_FALSE(stat.generation->problem);
    }
    tests::write_file(path + ".generation", "junk");
    const FileStat stat = looked(path);
    REQUIRE(stat.generation);
    CHECK(stat.generation->problem);
  }

  TEST_CASE("what is no weight file is an error that begins with the path") {
    const TempDir dir;
    tests::write_file(dir / "junk.wmap", "junk");
    for (const auto& [name, code] : {std::pair("junk.wmap", ErrorCode::kWrongKind),
                                     std::pair("none.wmap", ErrorCode::kNotFound)}) {
      const auto stat = file_stat(dir / name);
      REQUIRE_FALSE(stat);
      CHECK(stat.error().code() == code);
      CHECK(stat.error().message().starts_with(dir / name));
    }
  }
}

}  // namespace
}  // namespace weightmap
