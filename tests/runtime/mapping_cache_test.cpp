// SPDX-License-Identifier: Apache-2.0
#include "weightmap/mapping_cache.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "support/file_bytes.h"
#include "support/patterned_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;

constexpr std::size_t kT0Bytes = std::size_t{1} << 20U;

// A base, and two weight files that refer to it.
struct Family {
  Family() {
    const std::string base = tests::patterned_model({kT0Bytes, 64});
    tests::write_file(dir / "base.wmap", base);
    tests::write_file(dir / "a.wmap", tests::model_over(base, "base.wmap", kT0Bytes));
    tests::write_file(dir / "b.wmap", tests::model_over(base, "base.wmap", kT0Bytes));
  }
  WeightFile open(const std::string& name, OpenOptions options = {}) const {
    if (options.cache == nullptr) options.cache = cache;
    auto file = WeightFile::open(dir / name, options);
    REQUIRE_MESSAGE(file, file.error().message());
    return *file;
  }
  TempDir dir;
  std::shared_ptr<MappingCache> cache = std::make_shared<MappingCache>();
};

std::size_t mappings_of(const std::string& path) {
  const std::string maps = tests::read_file("/proc/self/maps");
  std::size_t count = 0;
  for (std::size_t at = maps.find(path + "\n"); at != std::string::npos;
       at = maps.find(path + "\n", at + 1))
    ++count;
  return count;
}

struct Net : Module {
  Buffer<float> own{*this, "own", {2}};
  Buffer<float> t0{*this, "t0", {kT0Bytes / 4}};
};

TEST_SUITE_BEGIN("runtime/mapping_cache");

TEST_CASE("a process has one mapping of a data file, whoever opens it") {
  const Family family;
  const WeightFile a = family.open("a.wmap");
  const WeightFile b = family.open("b.wmap");
  const WeightFile base = family.open("base.wmap");
  CHECK(mappings_of(family.dir / "base.wmap") == 1);
  CHECK(family.cache->mapping_count() == 3);
  CHECK(a.find("t0")->data() == b.find("t0")->data());
  CHECK(a.find("t0")->data() == base.find("t0")->data());
  CHECK_FALSE(a.report().files[1].is_from_cache);
  CHECK(b.report().files[1].is_from_cache);
  CHECK(base.report().files[0].is_from_cache);
  CHECK(base.path() == family.dir / "base.wmap");
}

TEST_CASE("without a cache each opening has its own") {
  const Family family;
  const auto a = WeightFile::open(family.dir / "a.wmap");
  const auto b = WeightFile::open(family.dir / "b.wmap");
  CHECK(a->find("t0")->data() != b->find("t0")->data());
  CHECK(family.cache->mapping_count() == 0);
}

TEST_CASE("a mapping ends with the last file and module that use it, not with the cache") {
  Family family;
  auto net = std::make_unique<Net>();
  {
    const WeightFile a = family.open("a.wmap");
    const WeightFile b = family.open("b.wmap");
    REQUIRE(bind(*net, a).ok());
  }
  CHECK(mappings_of(family.dir / "base.wmap") == 1);
  CHECK(mappings_of(family.dir / "b.wmap") == 0);
  family.cache.reset();
  CHECK(net->t0.values()[0] != 0);
  net.reset();
  CHECK(mappings_of(family.dir / "base.wmap") == 0);
}

TEST_CASE("options that make another mapping have another") {
  const Family family;
  const WeightFile shared = family.open("base.wmap");
  const WeightFile one = family.open("base.wmap", {.mapping = Mapping::kPrivate});
  const WeightFile two = family.open("base.wmap", {.mapping = Mapping::kPrivate});
  const WeightFile guarded = family.open("base.wmap", {.guard = true});
  (*one.writable_bytes(0))[0] = std::byte{9};
  CHECK(two.tensor(0).data()[0] == std::byte{1});
  CHECK(shared.tensor(0).data()[0] == std::byte{1});
  CHECK(family.cache->mapping_count() == 2);
  CHECK(guarded.report().files[0].is_guarded);
  CHECK_FALSE(shared.report().files[0].is_guarded);
}

TEST_CASE("copies are shared in the process, too") {
  const Family family;
  const WeightFile one = family.open("base.wmap", {.mapping = Mapping::kCopied});
  const WeightFile two = family.open("base.wmap", {.mapping = Mapping::kCopied});
  CHECK(one.tensor(0).data() == two.tensor(0).data());
  CHECK(two.report().files[0].is_from_cache);
}

TEST_CASE("a file that was replaced, or written to, is another one") {
  const Family family;
  const WeightFile before = family.open("base.wmap");
  tests::write_file(family.dir / "new", tests::patterned_model({64, kT0Bytes}));
  std::filesystem::rename(family.dir / "new", family.dir / "base.wmap");
  const WeightFile after = family.open("base.wmap");
  CHECK(before.tensor(0).shape()[0] == kT0Bytes / 4);
  CHECK(after.tensor(0).shape()[0] == 16);
  // In place, which nobody should: the same inode.
  tests::write_file(family.dir / "base.wmap", tests::patterned_model({128, 128}));
  CHECK(family.open("base.wmap").tensor(0).shape()[0] == 32);
}

TEST_CASE("two names of one file are one mapping, and each has its own path") {
  const Family family;
  std::filesystem::create_hard_link(family.dir / "base.wmap", family.dir / "link.wmap");
  const WeightFile one = family.open("base.wmap");
  const WeightFile two = family.open("link.wmap");
  CHECK(one.mapping().data() == two.mapping().data());
  CHECK(two.path() == family.dir / "link.wmap");
}

TEST_CASE("threads that open and let go at once have one mapping at a time") {
  const Family family;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 100; ++round) {
          const WeightFile file = family.open(i % 2 == 0 ? "a.wmap" : "b.wmap");
          wrong += file.find("t0")->data()[round] != std::byte{1} ? 1 : 0;
        }
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(family.cache->mapping_count() == 0);
  CHECK(mappings_of(family.dir / "base.wmap") == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
