// SPDX-License-Identifier: Apache-2.0
// One model over several files, none larger than wanted, and none in the way of another.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/diff.h"
#include "weightmap/export.h"
#include "weightmap/warm.h"
#include "weightmap/weight_file.h"

#include "io/call_seam.h"
#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/fixtures.h"
#include "support/plain_model.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::CallSeam;
using tests::convert_well;
using tests::converted;
using tests::noise;
using tests::PlainModel;
using tests::read_file;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_file;
using tests::write_plain_model;
using Names = std::vector<std::string>;
namespace fs = std::filesystem;

const std::string kDigits = WEIGHTMAP_TEST_DATA "/digits/digits.pt";

Names shards_of(const ConvertReport& report) {
  Names names;
  for (const ReferredFile& file : report.data_files) {
    if (file.is_shard) names.push_back(file.name);
  }
  return names;
}

PlainModel model_of(int count, std::size_t bytes, std::uint64_t seed = 0) {
  PlainModel model;
  for (int i = 0; i < count; ++i)
    model.emplace_back("t" + std::to_string(i), noise(bytes, seed + static_cast<std::uint64_t>(i)));
  return model;
}

unsigned permissions_of(const std::string& path) {
  return static_cast<unsigned>(fs::status(path).permissions());
}

template <typename Report>
void check_is_link_elsewhere(const Result<Report>& report, const TempDir& dir) {
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kInvalidArgument);
  CHECK(report.error().message() ==
        (dir / "links/out.wmap: is a link to ") + fs::canonical(dir / "real/out.wmap").string() +
            " in another directory: files that it refers to must lie beside both names");
}

void check_is_cancelled(const Result<ConvertReport>& report) {
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kCancelled);
}

TEST_SUITE_BEGIN("convert/shards");

TEST_CASE("no file is larger than wanted, and each is a weight file of its own") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap", model_of(10, 100'000));
  const ConvertReport report =
      convert_well(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 310'000});
  REQUIRE(report.data_files.size() ==
          4);  // three segments of 100,000 fit, with what is said of them
  std::uint64_t data_bytes = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const ReferredFile& file = report.data_files[i];
    CAPTURE(file.name);
    const std::string path = dir / file.name;
    CHECK(file.is_shard);
    CHECK(file.name.starts_with("out-"));
    CHECK(file.name.ends_with("-0000" + std::to_string(i + 1) + "-of-00004.wmap"));
    CHECK(fs::file_size(path) == file.size_bytes);
    CHECK(file.size_bytes <= 310'000);
    data_bytes += file.data_bytes;
    const auto shard = WeightFile::open(path);
    REQUIRE(shard);
    CHECK(file.name.substr(4, 16) == shard->digest().hex().substr(0, 16));
    CHECK(shard->tensor_count() == (i < 3 ? 3 : 1));
    CHECK(shard->verify()->ok());
    const std::string first = "t" + std::to_string(3 * i);
    CHECK(tests::text_of(shard->find(first)->extent()) == noise(100'000, 3 * i));
  }
  CHECK(data_bytes == 1'000'000);
  CHECK(fs::file_size(dir / "out.wmap") < 5'000);
  CHECK(report.left_shards.empty());
}

TEST_CASE("what is spread is what it was, for every fixture and every command") {
  Names checkpoints = tests::all_checkpoints();
  for (const char* name : {"composites/torch-2.13.pt", "subclasses/subclasses.pt"})
    checkpoints.push_back(std::string(WEIGHTMAP_TEST_DATA "/checkpoints/") + name);
  for (const std::string& checkpoint : checkpoints) {
    CAPTURE(checkpoint);
    const TempDir dir;
    const WeightFile whole = converted(checkpoint, dir / "whole.wmap");
    convert_well(checkpoint, dir / "out.wmap", {.max_shard_bytes = 2000});
    const WeightFile spread = *WeightFile::open(dir / "out.wmap");
    converted(dir / "out.wmap", dir / "again.wmap");
    CHECK(read_file(dir / "again.wmap") == read_file(dir / "whole.wmap"));
    CHECK(diff(dir / "out.wmap", checkpoint)->equal());
    CHECK(warm(spread).has_value());
    const auto of_whole = export_torch(whole, dir / "whole.pt", {.drop_opaque = true});
    const auto of_spread = export_torch(spread, dir / "spread.pt", {.drop_opaque = true});
    REQUIRE(of_whole.has_value() == of_spread.has_value());
    if (of_whole) CHECK(read_file(dir / "whole.pt") == read_file(dir / "spread.pt"));
  }
}

TEST_CASE("what fits into one file stays one") {
  const TempDir dir;
  converted(kDigits, dir / "whole.wmap");
  const std::uint64_t size = fs::file_size(dir / "whole.wmap");
  CHECK(convert_well(kDigits, dir / "out.wmap", {.max_shard_bytes = size}).data_files.empty());
  CHECK(read_file(dir / "out.wmap") == read_file(dir / "whole.wmap"));
  fs::remove(dir / "out.wmap");
  const ConvertReport report =
      convert_well(kDigits, dir / "out.wmap", {.max_shard_bytes = size - 1});
  REQUIRE(report.data_files.size() == 1);  // which says less, and so has room for all segments
  CHECK(report.data_files[0].size_bytes < size);
}

TEST_CASE("many small tensors, of which more is said than they hold, keep to the size, too") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap", model_of(2000, 64));
  const ConvertReport report =
      convert_well(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 20'000});
  CHECK(report.data_files.size() > 20);
  for (const ReferredFile& file : report.data_files) {
    CHECK(fs::file_size(dir / file.name) <= 20'000);
    CHECK(file.segment_count > 30);
  }
}

TEST_CASE("a segment that is too large has a file to itself") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap",
                    {{"a", noise(100, 1)}, {"large", noise(50'000, 2)}, {"b", noise(100, 3)}});
  const ConvertReport report =
      convert_well(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 10'000});
  REQUIRE(report.data_files.size() == 3);
  CHECK(report.data_files[1].size_bytes > 50'000);
  CHECK(report.data_files[1].segment_count == 1);
}

TEST_CASE("the same source gives the same files, and a new one leaves the old ones alone") {
  const TempDir dir;
  write_plain_model(dir / "v1.wmap", model_of(4, 50'000));
  write_plain_model(dir / "v2.wmap", model_of(4, 50'000, 100));
  const ConvertOptions options{.max_shard_bytes = 120'000};
  const Names first = shards_of(convert_well(dir / "v1.wmap", dir / "out.wmap", options));
  REQUIRE(first.size() == 2);
  const std::string index = read_file(dir / "out.wmap");
  const Names again = shards_of(convert_well(dir / "v1.wmap", dir / "out.wmap", options));
  CHECK(again == first);
  CHECK(read_file(dir / "out.wmap") == index);

  const WeightFile reader = *WeightFile::open(dir / "out.wmap");
  const ConvertReport report = convert_well(dir / "v2.wmap", dir / "out.wmap", options);
  Names left = first;
  std::ranges::sort(left);
  CHECK(report.left_shards == left);
  const Names second = shards_of(report);
  for (const std::string& name : first) {
    CHECK(std::ranges::find(second, name) == second.end());
    CHECK(WeightFile::open(dir / name)->verify()->ok());
  }
  CHECK(reader.verify()->ok());
  CHECK(tests::text_of(reader.find("t3")->extent()) == noise(50'000, 3));
}

TEST_CASE("only names that are those of shards of this target are told as left") {
  const TempDir dir;
  for (const char* name :
       {"out-0123456789abcdef-00001-of-00002.wmap", "out-0123456789abcdeF-00001-of-00002.wmap",
        "out-0123456789abcdef-00001-of-0000x.wmap", "other-0123456789abcdef-00001-of-00002.wmap",
        "out-0123456789abcdef-00001-of-00002.wmap.x", "out-a.wmap"}) {
    write_file(dir / name, "x");
  }
  const ConvertReport report = convert_well(kDigits, dir / "out.wmap", {});
  CHECK(report.left_shards == Names{"out-0123456789abcdef-00001-of-00002.wmap"});
}

TEST_CASE("a file that has the name of a shard and is another is not replaced") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap", model_of(4, 50'000));
  const ConvertOptions options{.max_shard_bytes = 120'000};
  const Names names = shards_of(convert_well(dir / "in.wmap", dir / "out.wmap", options));
  for (const std::string& name : names)
    fs::remove(dir / name);
  const std::string index = read_file(dir / "out.wmap");
  write_file(dir / names[1], "something of the user's");
  const auto report = convert_checkpoint(dir / "in.wmap", dir / "out.wmap", options);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kExists);
  CHECK(report.error().message() ==
        (dir / names[1]) + ": exists and is another file: move it away");
  CHECK(read_file(dir / names[1]) == "something of the user's");
  CHECK(read_file(dir / "out.wmap") == index);
  CHECK(WeightFile::open(dir / names[0])->verify()->ok());  // was written, and stays
}

TEST_CASE("what a stopped conversion has finished stays whole, and the next takes it over") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap", model_of(6, 50'000));
  write_plain_model(dir / "other.wmap", model_of(1, 1000, 9));
  const auto stop = [](std::uint64_t done, std::uint64_t) { return done < 250'000; };
  check_is_cancelled(convert_checkpoint(dir / "in.wmap", dir / "out.wmap",
                                        {.max_shard_bytes = 120'000, .progress = stop}));
  Names left = dir.names();
  std::erase_if(left, [](const std::string& name) { return !name.starts_with("out"); });
  REQUIRE(left.size() == 2);
  for (const std::string& name : left)
    CHECK(WeightFile::open(dir / name)->verify()->ok());
  CHECK(convert_well(dir / "other.wmap", dir / "out.wmap", {}).left_shards == left);

  const ConvertReport report =
      convert_well(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 120'000});
  CHECK(report.left_shards.empty());
  Names names = shards_of(report);
  REQUIRE(names.size() == 3);
  names.pop_back();
  std::ranges::sort(names);
  CHECK(names == left);
}

TEST_CASE("a stopped conversion leaves what another one has finished meanwhile") {
  for (const char* target : {"out.wmap", "out"}) {  // whose shards are called alike
    CAPTURE(target);
    const TempDir dir;
    write_plain_model(dir / "in.wmap", model_of(6, 50'000));
    const auto stop = [&](std::uint64_t done, std::uint64_t) {
      if (done < 250'000) return true;
      convert_well(dir / "in.wmap", dir / target, {.max_shard_bytes = 120'000});
      return false;
    };
    check_is_cancelled(convert_checkpoint(dir / "in.wmap", dir / "out.wmap",
                                          {.max_shard_bytes = 120'000, .progress = stop}));
    const auto finished = WeightFile::open(dir / target);
    REQUIRE(finished);
    CHECK(finished->data_files().size() == 4);  // itself, too
    CHECK(finished->verify()->ok());
  }
}

// Converts in.wmap while `other` happens just before the first shard gets its name.
Result<ConvertReport> convert_overtaken(const TempDir& dir, const std::function<void()>& other) {
  bool is_overtaken = false;
  const CallSeam seam([&](const SeenCall& call) -> Verdict {
    if (call.name == "fsync" && !std::exchange(is_overtaken, true)) other();
    return {};
  });
  const auto report =
      convert_checkpoint(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 120'000});
  CHECK(is_overtaken);
  return report;
}

TEST_CASE("the same conversion twice at once: both come to their end") {
  const ConvertOptions options{.max_shard_bytes = 120'000};
  for (const bool are_there : {false, true}) {
    CAPTURE(are_there);
    const TempDir dir;
    write_plain_model(dir / "in.wmap", model_of(4, 50'000));
    if (are_there) convert_well(dir / "in.wmap", dir / "out.wmap", options);
    const auto report =
        convert_overtaken(dir, [&] { convert_well(dir / "in.wmap", dir / "out.wmap", options); });
    const WeightFile file = tests::open_reported(dir / "out.wmap", report);
    CHECK(file.data_files().size() == 3);  // itself, too
    CHECK(file.verify()->ok());
    CHECK(dir.names().size() == 4);
  }
}

TEST_CASE("who could not read the old target cannot read the shards of the new one") {
  const TempDir dir;
  write_plain_model(dir / "v1.wmap", model_of(4, 50'000));
  write_plain_model(dir / "v2.wmap", model_of(4, 50'000, 100));
  const ConvertOptions options{.max_shard_bytes = 120'000};
  for (const std::string& name :
       shards_of(convert_well(dir / "v1.wmap", dir / "out.wmap", options)))
    fs::permissions(dir / name, fs::perms{0644});
  fs::permissions(dir / "out.wmap", fs::perms{0600});
  for (const char* source : {"v1.wmap", "v2.wmap"}) {  // shards that are replaced, and new ones
    CAPTURE(source);
    const ConvertReport report = convert_well(dir / source, dir / "out.wmap", options);
    CHECK(permissions_of(dir / "out.wmap") == 0600);
    REQUIRE(report.data_files.size() == 2);
    for (const ReferredFile& file : report.data_files)
      CHECK(permissions_of(dir / file.name) == 0600);
  }
}

TEST_CASE("a target that is a link into another directory can have no files beside it") {
  const TempDir dir;
  fs::create_directories(dir / "real");
  fs::create_directories(dir / "links");
  write_plain_model(dir / "links/in.wmap", model_of(4, 50'000));
  write_plain_model(dir / "real/out.wmap", model_of(1, 100));
  fs::create_symlink("../real/out.wmap", dir / "links/out.wmap");
  const std::string before = read_file(dir / "real/out.wmap");
  for (const ConvertOptions& options : {ConvertOptions{.max_shard_bytes = 120'000},
                                        ConvertOptions{.base = dir / "links/in.wmap"}}) {
    const auto report = convert_checkpoint(WEIGHTMAP_TEST_DATA "/digits/digits.pt",
                                           dir / "links/out.wmap", options);
    check_is_link_elsewhere(report, dir);
  }
  fs::copy(kDigits, dir / "links/digits.pt");
  check_is_link_elsewhere(adopt_checkpoint(dir / "links/digits.pt", dir / "links/out.wmap"), dir);
  CHECK(read_file(dir / "real/out.wmap") == before);
  CHECK(std::distance(fs::directory_iterator(dir / "links"), {}) == 3);
  CHECK(std::distance(fs::directory_iterator(dir / "real"), {}) == 1);
  // By itself it needs nothing.
  CHECK(convert_well(dir / "links/in.wmap", dir / "links/out.wmap", {}).data_files.empty());
}

TEST_CASE("links that stay in the directory are followed") {
  const TempDir dir;
  fs::create_directories(dir / "real");
  fs::create_directory_symlink("real", dir / "same");
  write_plain_model(dir / "in.wmap", model_of(4, 50'000));
  write_plain_model(dir / "real/out.wmap", model_of(1, 100));
  fs::create_symlink("out.wmap", dir / "real/current.wmap");
  for (const char* target : {"real/current.wmap", "same/current.wmap", "same/out.wmap"}) {
    CAPTURE(target);
    const ConvertReport report =
        convert_well(dir / "in.wmap", dir / target, {.max_shard_bytes = 120'000});
    CHECK(report.data_files.size() == 2);
    CHECK(WeightFile::open(dir / "real/out.wmap")->verify()->ok());
  }
}

TEST_CASE("another file that takes a shard's name meanwhile is an error, and stays") {
  const TempDir dir;
  write_plain_model(dir / "in.wmap", model_of(4, 50'000));
  const Names names =
      shards_of(convert_well(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 120'000}));
  fs::remove(dir / names[0]);
  const auto report = convert_overtaken(dir, [&] { write_file(dir / names[0], "the user's"); });
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kIo);
  CHECK(report.error().message() == (dir / names[0]) + ": another process wrote it meanwhile");
  CHECK(read_file(dir / names[0]) == "the user's");
}

TEST_CASE("with a base only what is new is spread") {
  const TempDir dir;
  PlainModel model = model_of(6, 50'000);
  write_plain_model(dir / "in1.wmap", model);
  const ConvertReport base =
      convert_well(dir / "in1.wmap", dir / "v1.wmap", {.max_shard_bytes = 120'000});
  for (const int changed : {0, 2, 5})
    model[static_cast<std::size_t>(changed)].second =
        noise(50'000, 77U + static_cast<unsigned>(changed));
  write_plain_model(dir / "in2.wmap", model);
  const ConvertReport report = convert_well(dir / "in2.wmap", dir / "v2.wmap",
                                            {.base = dir / "v1.wmap", .max_shard_bytes = 120'000});
  CHECK(report.reused_segments == 3);
  CHECK(shards_of(report).size() == 2);
  CHECK(report.data_files.size() == 5);
  for (const ReferredFile& file : report.data_files)
    CHECK(file.name != "v1.wmap");  // which has no bytes itself
  converted(dir / "v2.wmap", dir / "whole.wmap");
  CHECK(read_file(dir / "whole.wmap") == read_file(dir / "in2.wmap"));
  // One shard of the new version may become what the next refers to.
  const ConvertReport third =
      convert_well(dir / "in2.wmap", dir / "v3.wmap", {.base = dir / "v2.wmap"});
  CHECK(third.reused_segments == 6);
  CHECK(third.data_files.size() == 5);
}

TEST_CASE("more files than names can count are refused before there is one") {
  const TempDir dir;
  tests::write_weight_file(tests::expert_model(100'001), dir / "in.wmap");
  const auto report = convert_checkpoint(dir / "in.wmap", dir / "out.wmap", {.max_shard_bytes = 1});
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kInvalidArgument);
  CHECK(report.error().message().find("more than 99999 files of 1 bytes") != std::string::npos);
  CHECK(dir.names() == Names{"in.wmap"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
