// SPDX-License-Identifier: Apache-2.0
// Several segments at work at the same time: the same file comes out, and of several errors the
// same one, however many there are.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/export.h"
#include "weightmap/weight_file.h"

#include "io/call_seam.h"
#include "support/checkpoint_writer.h"
#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::bytes_of;
using tests::CallSeam;
using tests::converted;
using tests::expect_refusal;
using tests::noise;
using tests::read_file;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using Names = std::vector<std::string>;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

// By number: `t0`, `t1` ... with a storage each.
using Storages = std::vector<std::string>;

// Small ones before, between and behind large ones, none of which ends where a page does.
Storages mixed_storages() {
  std::vector<std::size_t> sizes(700, 300);
  sizes.insert(sizes.end(), {9 * kMiB + 77, 13, 21 * kMiB + 1, 3 * kMiB - 5, 2 * kMiB, 4 * kMiB});
  sizes.insert(sizes.end(), 500, 1'001);
  sizes.insert(sizes.end(), {17 * kMiB, 1});
  Storages storages;
  for (const std::size_t size : sizes)
    storages.push_back(noise(size, storages.size() + 1));
  return storages;
}

std::string checkpoint_of(const Storages& storages) {
  std::vector<std::string> items;
  std::vector<tests::StorageBytes> records;
  for (std::size_t i = 0; i < storages.size(); ++i) {
    const std::string key = std::to_string(i);
    const auto count = static_cast<std::int64_t>(storages[i].size());
    items.push_back(tests::pickle::text("t" + key));
    items.push_back(tests::pickle::tensor(
        {.key = key, .storage_class = "ByteStorage", .numel = count, .shape = {count}}));
    records.push_back({.key = key, .bytes = storages[i]});
  }
  return tests::checkpoint_file(tests::pickle::whole(tests::pickle::dict(items)), records);
}

// Where the bytes of a storage begin. Its head is enough to find it, and sanitizers look at the
// whole of what is compared, at every place where the first byte is the same.
std::size_t place_of(const std::string& storage, const std::string& file) {
  constexpr std::size_t kHeadBytes = 64;
  const std::size_t begin = file.find(storage.substr(0, kHeadBytes));
  REQUIRE(begin != std::string::npos);
  return begin;
}

// Each of these storages with another last byte, which its CRC does not know.
std::string damaged(std::string checkpoint,
                    const Storages& storages,
                    const std::vector<std::size_t>& numbers) {
  for (const std::size_t number : numbers) {
    const std::string& storage = storages[number];
    checkpoint[place_of(storage, checkpoint) + storage.size() - 1] ^= 1;
  }
  return checkpoint;
}

struct Prepared {
  TempDir dir;
  Storages storages = mixed_storages();
  std::string source = dir / "model.pt";
  std::string target = dir / "model.wmap";

  Prepared() { tests::write_file(source, checkpoint_of(storages)); }

  void damage(const std::vector<std::size_t>& numbers) const {
    tests::write_file(source, damaged(checkpoint_of(storages), storages, numbers));
  }
};

std::string_view bytes_in(const WeightFile& file, std::size_t number) {
  const auto tensor = file.find("t" + std::to_string(number));
  REQUIRE(tensor);
  const auto* data = static_cast<const std::byte*>(tensor->data());
  return tests::text_of({data, std::size_t(tensor->element_count())});
}

using Export = Result<ExportReport> (*)(const WeightFile&,
                                        const std::string&,
                                        const ExportOptions&);
const std::pair<std::string, Export> kExports[] = {{".pt", export_torch},
                                                   {".safetensors", export_safetensors}};

constexpr unsigned kJobs[] = {1, 2, 3, 8, 64, 0};

}  // namespace

TEST_SUITE("convert/jobs") {
  TEST_CASE("every number of jobs writes the same file, and each tensor has its bytes") {
    const Prepared prepared;
    converted(prepared.source, prepared.dir / "one.wmap", {.sync = false, .jobs = 1});
    const std::string expected = read_file(prepared.dir / "one.wmap");
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      const WeightFile file =
          converted(prepared.source, prepared.target, {.sync = false, .jobs = jobs});
      REQUIRE(read_file(prepared.target) == expected);
      for (std::size_t i = 0; i < prepared.storages.size(); ++i) {
        REQUIRE(bytes_in(file, i) == prepared.storages[i]);
      }
    }
  }

  TEST_CASE("every number of jobs writes the same shards") {
    const Prepared prepared;
    const std::string target = prepared.target;
    const ConvertOptions options{.max_shard_bytes = 24 * kMiB, .sync = false, .jobs = 1};
    converted(prepared.source, target, options);
    const Names names = prepared.dir.names();
    const std::string expected = read_file(target);
    REQUIRE(names.size() > 4);
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      ConvertOptions changed = options;
      changed.jobs = jobs;
      converted(prepared.source, target, changed);
      CHECK(read_file(target) == expected);
      CHECK(prepared.dir.names() == names);  // which are of their content
    }
  }

  TEST_CASE("each window of 2 MiB is written once, whole, and the front once more") {
    const Prepared prepared;
    const CallSeam seam;
    const WeightFile file = converted(prepared.source, prepared.target, {.sync = false, .jobs = 3});
    auto writes = seam.all("pwrite");
    REQUIRE_FALSE(writes.empty());
    CHECK(writes.back().offset == 0);
    writes.pop_back();
    std::ranges::sort(writes, {}, &SeenCall::offset);
    std::int64_t end = 0;
    for (const SeenCall& write : writes) {
      CHECK(write.offset == end);
      end += write.size;
      CHECK((end % std::int64_t{2 * kMiB} == 0 || end == std::int64_t(file.size_bytes())));
    }
    CHECK(end == std::int64_t(file.size_bytes()));
  }

  TEST_CASE("of several storages that are damaged the first is told") {
    const Prepared prepared;
    prepared.damage({702, 703, 1'206});
    tests::write_file(prepared.target, "old");
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      expect_refusal(convert_checkpoint(
                         prepared.source, prepared.target,
                         {.replace_any = true, .sync = false, .jobs = jobs, .verify_crc = true}),
                     ErrorCode::kCorrupt, "`storage 702` differs from its CRC");
      CHECK(read_file(prepared.target) == "old");
      CHECK(prepared.dir.names() == Names{"model.pt", "model.wmap"});
    }
  }

  TEST_CASE("all that are damaged are reported, in the order of the source") {
    const Prepared prepared;
    prepared.damage({1'206, 702, 3});
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      const auto report =
          convert_checkpoint(prepared.source, prepared.target, {.sync = false, .jobs = jobs});
      REQUIRE(report);
      CHECK(report->crc_mismatches == Names{"storage 3", "storage 702", "storage 1206"});
    }
  }

  TEST_CASE("progress grows, ends with all, and is told by the caller's thread") {
    const Prepared prepared;
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      std::uint64_t last = 0;
      std::uint64_t all = 1;
      int backwards = 0;
      int elsewhere = 0;
      const auto caller = std::this_thread::get_id();
      const auto look = [&](std::uint64_t done, std::uint64_t total) {
        backwards += done < last ? 1 : 0;
        elsewhere += std::this_thread::get_id() != caller ? 1 : 0;
        last = done;
        all = total;
        return true;
      };
      converted(prepared.source, prepared.target, {.sync = false, .jobs = jobs, .progress = look});
      CHECK(last == all);
      CHECK(backwards == 0);
      CHECK(elsewhere == 0);
    }
  }

  TEST_CASE("who stops it is not asked again, and nothing is left") {
    const Prepared prepared;
    for (const unsigned jobs : kJobs) {
      for (const std::uint64_t stop_at : {std::uint64_t{0}, std::uint64_t{1}, 20 * kMiB}) {
        CAPTURE(jobs);
        CAPTURE(stop_at);
        int calls_after = -1;
        const auto look = [&](std::uint64_t done, std::uint64_t) {
          if (done >= stop_at) ++calls_after;
          return done < stop_at;
        };
        expect_refusal(convert_checkpoint(prepared.source, prepared.target,
                                          {.sync = false, .jobs = jobs, .progress = look}),
                       ErrorCode::kCancelled, "cancelled");
        CHECK(calls_after == 0);
        CHECK(prepared.dir.names() == Names{"model.pt"});
      }
    }
  }

  TEST_CASE("a write that fails, whichever, is told, and nothing is left") {
    const Prepared prepared;
    tests::write_file(prepared.target, "old");
    std::size_t failing = 1;
    for (bool has_failed = true; has_failed; failing += 3) {
      CAPTURE(failing);
      std::size_t writes = 0;
      const CallSeam seam([&](const SeenCall& call) {
        const bool fails = call.name == "pwrite" && ++writes == failing;
        return Verdict{.error = fails ? ENOSPC : 0};
      });
      const auto report = convert_checkpoint(prepared.source, prepared.target,
                                             {.replace_any = true, .sync = false, .jobs = 3});
      has_failed = writes >= failing;
      if (!has_failed) break;
      expect_refusal(report, ErrorCode::kIo, "cannot write: no space left on device");
      CHECK(read_file(prepared.target) == "old");
      CHECK(prepared.dir.names() == Names{"model.pt", "model.wmap"});
    }
    CHECK(failing > 20);
    CHECK(read_file(prepared.target) != "old");
  }

  TEST_CASE("killed at any write, the target is the old one") {
    const Prepared prepared;
    for (const std::size_t fatal : {1U, 6U, 13U, 29U}) {
      CAPTURE(fatal);
      tests::write_file(prepared.target, "old");
      const int status = tests::in_child([&] {
        std::size_t writes = 0;
        const CallSeam seam([&](const SeenCall& call) {
          return Verdict{.killed_after = call.name == "pwrite" && ++writes == fatal};
        });
        return convert_checkpoint(prepared.source, prepared.target,
                                  {.replace_any = true, .sync = false, .jobs = 3})
            .has_value();
      });
      CHECK(tests::was_killed_by(status, SIGKILL));
      CHECK(read_file(prepared.target) == "old");
      converted(prepared.source, prepared.target, {.replace_any = true, .sync = false, .jobs = 3});
      CHECK(prepared.dir.names() == Names{"model.pt", "model.wmap"});
    }
  }

  TEST_CASE("without threads to give the caller does it all") {
    const Prepared prepared;
    converted(prepared.source, prepared.dir / "one.wmap", {.sync = false, .jobs = 1});
    std::filesystem::permissions(prepared.dir.path(), std::filesystem::perms::all);
    CHECK(tests::exited_well(tests::in_child([&] {
      if (!tests::give_up_threads()) return false;
      return convert_checkpoint(prepared.source, prepared.target, {.sync = false, .jobs = 8})
          .has_value();
    })));
    CHECK(read_file(prepared.target) == read_file(prepared.dir / "one.wmap"));
  }

  TEST_CASE(
      "there are as many threads as jobs, one for a small file, two for a very large segment") {
    const Prepared prepared;
    const auto write = [&](const std::string& name, const Storages& storages) {
      tests::write_file(prepared.dir / name, checkpoint_of(storages));
      return prepared.dir / name;
    };
    const std::string small = write("small.pt", {noise(11 * kMiB), "small"});
    const std::string large = write("large.pt", {"small", noise(40 * kMiB), "small"});
    const std::string equal = write("equal.pt", Storages(4, noise(17 * kMiB)));
    const std::size_t before = tests::threads().size();
    const auto most_of = [&](const std::string& source, unsigned jobs) {
      auto most = before;
      const auto look = [&](std::uint64_t, std::uint64_t) {
        most = std::max(most, tests::threads().size());
        return true;
      };
      converted(source, prepared.target, {.sync = false, .jobs = jobs, .progress = look});
      return most - before;
    };
    for (const std::string& source : {prepared.source, small, large, equal})
      CHECK(most_of(source, 1) == 0);
    CHECK(most_of(small, 8) == 0);
    CHECK(most_of(large, 2) == 1);
    for (const std::string& source : {prepared.source, large, equal}) {
      CHECK(most_of(source, 2) <= 1);
      CHECK(most_of(source, 4) <= 3);
    }
    CHECK(tests::threads().size() == before);
  }

  TEST_CASE("every number of jobs exports the same files, which convert to what they came from") {
    const Prepared prepared;
    const WeightFile file = converted(prepared.source, prepared.target, {.sync = false, .jobs = 1});
    for (const std::pair<std::string, Export>& exported : kExports) {
      CAPTURE(exported.first);
      const Export run = exported.second;
      const std::string one = prepared.dir / ("one" + exported.first);
      const std::string many = prepared.dir / ("many" + exported.first);
      REQUIRE(run(file, one, {.sync = false, .jobs = 1}));
      const WeightFile again = converted(one, prepared.dir / "again.wmap");
      for (std::size_t i = 0; i < prepared.storages.size(); ++i)
        REQUIRE(bytes_in(again, i) == prepared.storages[i]);
      for (const unsigned jobs : kJobs) {
        CAPTURE(jobs);
        const auto report = run(file, many, {.sync = false, .jobs = jobs});
        REQUIRE(report);
        CHECK(report->checked);
        REQUIRE(read_file(many) == read_file(one));
      }
    }
  }

  TEST_CASE("of several segments that are damaged the first is told, whatever is exported") {
    const Prepared prepared;
    converted(prepared.source, prepared.target);
    std::string bytes = read_file(prepared.target);
    for (const std::size_t number : {702U, 703U, 1'206U})
      bytes[place_of(prepared.storages[number], bytes)] ^= 1;
    tests::write_file(prepared.target, bytes);
    const auto file = WeightFile::open(prepared.target);
    REQUIRE(file);
    // In the order of the target: safetensors sorts by name.
    const Names first{"`t702`", "`t1206`"};
    for (std::size_t i = 0; i < std::size(kExports); ++i) {
      for (const unsigned jobs : kJobs) {
        CAPTURE(jobs);
        const std::string target = prepared.dir / ("out" + kExports[i].first);
        expect_refusal(kExports[i].second(*file, target, {.sync = false, .jobs = jobs}),
                       ErrorCode::kCorrupt, first[i]);
        CHECK(prepared.dir.names() == Names{"model.pt", "model.wmap"});
      }
    }
  }

  TEST_CASE("tensors that share a segment are exported as they are, by any number of jobs") {
    const TempDir dir;
    const std::string storage = noise(40 * kMiB, 5);
    std::vector<std::string> items;
    for (std::int64_t i = 0; i < 20; ++i) {
      const std::int64_t count = std::int64_t(2 * kMiB);
      items.push_back(tests::pickle::text("t" + std::to_string(i)));
      items.push_back(tests::pickle::tensor({.storage_class = "ByteStorage",
                                             .numel = 20 * count,
                                             .offset = i * count,
                                             .shape = {count},
                                             .strides = {1}}));
    }
    tests::write_file(dir / "a.pt",
                      tests::checkpoint_file(tests::pickle::whole(tests::pickle::dict(items)),
                                             {{.key = "0", .bytes = storage}}));
    const WeightFile file = converted(dir / "a.pt", dir / "a.wmap");
    for (const unsigned jobs : kJobs) {
      CAPTURE(jobs);
      REQUIRE(export_safetensors(
          file, dir / "a.safetensors",
          {.sync = false, .safetensors = {.duplicate_ties = true}, .jobs = jobs}));
      const WeightFile again = converted(dir / "a.safetensors", dir / "again.wmap");
      for (std::size_t i = 0; i < 20; ++i)
        REQUIRE(bytes_in(again, i) == std::string_view(storage).substr(i * 2 * kMiB, 2 * kMiB));
    }
  }
}

}  // namespace weightmap
