// SPDX-License-Identifier: Apache-2.0
// A new version as what differs from an old one: everything else is the old one's, where it is.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/diff.h"
#include "weightmap/export.h"
#include "weightmap/warm.h"
#include "weightmap/weight_file.h"

#include "support/checkpoint_writer.h"
#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/fixtures.h"
#include "support/plain_model.h"
#include "support/process.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::convert_well;
using tests::converted;
using tests::expect_refusal;
using tests::noise;
using tests::PlainModel;
using tests::read_file;
using tests::TempDir;
using tests::write_file;
using tests::write_plain_model;
namespace fs = std::filesystem;

const std::string kDigits = WEIGHTMAP_TEST_DATA "/digits/digits.pt";

std::string bytes_under(const std::string& path, const std::string& name) {
  return std::string(tests::text_of(WeightFile::open(path)->find(name)->extent()));
}

// The name of the data file that a tensor lies in; "" for the weight file itself.
std::string home_of(const std::string& path, const std::string& name) {
  const WeightFile file = *WeightFile::open(path);
  const TensorPlace place = file.place(*file.find_number(name));
  return std::string(file.data_files()[file.segment(*place.segment).data_file].name);
}

// `a` and `b` are one tensor with these bytes.
std::string tied_checkpoint(const std::string& bytes) {
  const auto count = static_cast<std::int64_t>(bytes.size());
  const std::string tensor = tests::pickle::tensor(
      {.key = "0", .storage_class = "ByteStorage", .numel = count, .shape = {count}});
  return tests::checkpoint_file(
      tests::pickle::whole(tests::pickle::dict(
          {tests::pickle::text("a"), tensor, tests::pickle::text("b"), tensor})),
      {{.key = "0", .bytes = bytes}});
}

TEST_SUITE_BEGIN("convert/base");

TEST_CASE("only what is new is written, and the report says what is not") {
  const TempDir dir;
  const std::string same = noise(100'000, 1);
  const std::string before = noise(50'000, 2);
  const std::string after = noise(50'000, 3);
  write_plain_model(dir / "old.wmap", {{"same", same}, {"changed", before}});
  write_plain_model(dir / "new.wmap", {{"same", same}, {"changed", after}, {"added", "abc"}});
  const ConvertReport report =
      convert_well(dir / "new.wmap", dir / "delta.wmap", {.base = dir / "old.wmap"});
  CHECK(report.segment_count == 3);
  CHECK(report.data_bytes == 150'003);
  CHECK(report.reused_segments == 1);
  CHECK(report.reused_bytes == 100'000);
  REQUIRE(report.data_files.size() == 1);
  CHECK(report.data_files[0].name == "old.wmap");
  CHECK(report.data_files[0].size_bytes == fs::file_size(dir / "old.wmap"));
  CHECK(report.data_files[0].segment_count == 1);
  CHECK(report.data_files[0].data_bytes == 100'000);
  CHECK_FALSE(report.data_files[0].is_shard);
  const std::string written = read_file(dir / "delta.wmap");
  CHECK(written.size() < 53'000);
  CHECK(written.find(after) != std::string::npos);
  CHECK(written.find(same.substr(0, 1000)) == std::string::npos);
  CHECK(bytes_under(dir / "delta.wmap", "same") == same);
  CHECK(bytes_under(dir / "delta.wmap", "changed") == after);
  CHECK(home_of(dir / "delta.wmap", "same") == "old.wmap");
  CHECK(home_of(dir / "delta.wmap", "changed").empty());
}

TEST_CASE("every fixture against itself is an index alone, and all commands see what it is") {
  for (const std::string& checkpoint : tests::all_checkpoints()) {
    CAPTURE(checkpoint);
    const TempDir dir;
    const WeightFile base = converted(checkpoint, dir / "base.wmap");
    const ConvertReport report =
        convert_well(checkpoint, dir / "delta.wmap", {.base = dir / "base.wmap"});
    CHECK(report.reused_bytes == report.data_bytes);
    const WeightFile delta = *WeightFile::open(dir / "delta.wmap");
    CHECK(delta.data_files().size() == (base.segment_count() == 0 ? 1 : 2));
    const auto differences = diff(dir / "base.wmap", dir / "delta.wmap");
    REQUIRE(differences);
    CHECK(differences->equal());
    CHECK(warm(delta).has_value());
    converted(dir / "delta.wmap", dir / "whole.wmap");
    CHECK(read_file(dir / "whole.wmap") == read_file(dir / "base.wmap"));
    const auto of_base = export_torch(base, dir / "base.pt", {.drop_opaque = true});
    const auto of_delta = export_torch(delta, dir / "delta.pt", {.drop_opaque = true});
    REQUIRE(of_base.has_value() == of_delta.has_value());
    if (of_base) CHECK(read_file(dir / "base.pt") == read_file(dir / "delta.pt"));
  }
}

TEST_CASE("a delta goes out as the whole file does") {
  const TempDir dir;
  converted(kDigits, dir / "base.wmap", {.selection = {.exclude = {"conv*"}}});
  convert_well(kDigits, dir / "delta.wmap", {.base = dir / "base.wmap"});
  converted(kDigits, dir / "whole.wmap");
  ExportOptions options;
  options.safetensors = {.duplicate_ties = true, .drop_extras = true};
  for (const char* name : {"delta", "whole"}) {
    const WeightFile file = *WeightFile::open(dir / (std::string(name) + ".wmap"));
    REQUIRE(export_torch(file, dir / (std::string(name) + ".pt")));
    REQUIRE(export_safetensors(file, dir / (std::string(name) + ".safetensors"), options));
  }
  CHECK(read_file(dir / "delta.pt") == read_file(dir / "whole.pt"));
  CHECK(read_file(dir / "delta.safetensors") == read_file(dir / "whole.safetensors"));
  converted(dir / "delta.wmap", dir / "again.wmap");
  CHECK(read_file(dir / "again.wmap") == read_file(dir / "whole.wmap"));
}

TEST_CASE("what has another name is found by its digest, which alone proves nothing") {
  const TempDir dir;
  const std::string first = noise(40'000'000, 1);  // of several chunks
  const std::string second = noise(4000, 2);
  write_plain_model(dir / "old.wmap", {{"a", first}, {"b", second}});
  write_plain_model(dir / "new.wmap", {{"x", second}, {"y", first}});
  CHECK(
      convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap"}).reused_segments ==
      2);
  // The digest of `b` stays what it was, its bytes do not.
  std::string bytes = read_file(dir / "old.wmap");
  bytes[bytes.find(second) + 3999] ^= 1;
  write_file(dir / "old.wmap", bytes);
  const ConvertReport report =
      convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap"});
  CHECK(report.reused_segments == 1);
  CHECK(bytes_under(dir / "d.wmap", "x") == second);
  CHECK(home_of(dir / "d.wmap", "x").empty());
}

TEST_CASE("a base without digests has what has the same name") {
  const TempDir dir;
  fs::copy(kDigits, dir / "model.pt");
  REQUIRE(adopt_checkpoint(dir / "model.pt", dir / "old.wmap", {.digests = false}));
  const ConvertReport all =
      convert_well(dir / "model.pt", dir / "new.wmap", {.base = dir / "old.wmap"});
  CHECK(all.reused_bytes == all.data_bytes);
  CHECK(home_of(dir / "new.wmap", "fc.bias") == "model.pt");
  CHECK(all.data_files.size() == 1);  // the index in between is not needed
  const ConvertReport renamed =
      convert_well(dir / "model.pt", dir / "new.wmap",
                   {.selection = {.rename = {{"*", "m.*"}}}, .base = dir / "old.wmap"});
  CHECK(renamed.reused_bytes == 0);
  CHECK(renamed.data_files.empty());
}

TEST_CASE("adopted shards are referred to where they are") {
  const TempDir dir;
  fs::copy(WEIGHTMAP_TEST_DATA "/sources/sharded_bin", dir / "model");
  REQUIRE(adopt_checkpoint(dir / "model", dir / "model/old.wmap"));
  const ConvertReport report =
      convert_well(dir / "model", dir / "model/new.wmap", {.base = dir / "model/old.wmap"});
  CHECK(report.reused_bytes == report.data_bytes);
  CHECK(report.data_files.size() == 2);
  for (const ReferredFile& file : report.data_files)
    CHECK(file.name.starts_with("pytorch_model-"));
}

TEST_CASE("a delta of a delta refers to the files that have the bytes") {
  const TempDir dir;
  const std::string a = noise(1000, 1);
  const std::string b = noise(2000, 2);
  const std::string c = noise(3000, 3);
  write_plain_model(dir / "v1.wmap", {{"a", a}, {"b", noise(2000, 9)}});
  write_plain_model(dir / "in2.wmap", {{"a", a}, {"b", b}});
  write_plain_model(dir / "in3.wmap", {{"a", a}, {"b", b}, {"c", c}});
  convert_well(dir / "in2.wmap", dir / "v2.wmap", {.base = dir / "v1.wmap"});
  convert_well(dir / "in3.wmap", dir / "v3.wmap", {.base = dir / "v2.wmap"});
  CHECK(home_of(dir / "v3.wmap", "a") == "v1.wmap");
  CHECK(home_of(dir / "v3.wmap", "b") == "v2.wmap");
  CHECK(home_of(dir / "v3.wmap", "c").empty());
  // A version in between that gave nothing is not referred to.
  convert_well(dir / "v1.wmap", dir / "v4.wmap", {.base = dir / "v2.wmap"});
  CHECK(WeightFile::open(dir / "v4.wmap")->data_files().size() == 2);
  CHECK(home_of(dir / "v4.wmap", "a") == "v1.wmap");
}

TEST_CASE("tensors that are apart stay apart, and ties stay ties") {
  const TempDir dir;
  const std::string bytes = noise(5000, 1);
  write_plain_model(dir / "old.wmap", {{"a", bytes}});
  write_plain_model(dir / "new.wmap", {{"a", bytes}, {"b", bytes}});
  const ConvertReport report =
      convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap"});
  CHECK(report.reused_segments == 1);
  CHECK(home_of(dir / "d.wmap", "a") == "old.wmap");
  CHECK(home_of(dir / "d.wmap", "b").empty());

  converted(kDigits, dir / "digits.wmap");
  convert_well(kDigits, dir / "tied.wmap", {.base = dir / "digits.wmap"});
  const WeightFile tied = *WeightFile::open(dir / "tied.wmap");
  CHECK(tied.find("head.weight")->data() == tied.find("fc.weight")->data());
}

TEST_CASE("any number of threads finds the same segments") {
  const TempDir dir;
  PlainModel before;
  PlainModel after;
  for (std::uint64_t i = 0; i < 12; ++i) {
    const std::string number = std::to_string(i);
    before.emplace_back("same" + number, noise(2'000'000, i));
    after.push_back(before.back());
    if (i % 4 == 1) after.back().second.back() ^= 1;
    before.emplace_back("from" + number, noise(100'000, 100 + i));
    after.emplace_back("to" + number, before.back().second);
  }
  for (int i = 0; i < 70; ++i) {
    if (i < 60) before.emplace_back("zero" + std::to_string(i), std::string(1'000, '\0'));
    after.emplace_back("nought" + std::to_string(i), std::string(1'000, '\0'));
  }
  write_plain_model(dir / "old.wmap", before);
  write_plain_model(dir / "new.wmap", after);
  std::string first;
  for (const unsigned jobs : {1U, 2U, 3U, 8U}) {
    CAPTURE(jobs);
    const ConvertReport report =
        convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap", .jobs = jobs});
    CHECK(report.reused_segments == 9 + 12 + 60);
    if (first.empty()) first = read_file(dir / "d.wmap");
    CHECK(read_file(dir / "d.wmap") == first);
  }
}

TEST_CASE("the second of two names takes the segment that the first has left") {
  const TempDir dir;
  const std::string kept = noise(3'000'000, 1);
  const std::string changed = noise(3'000'000, 2);
  write_file(dir / "old.pt", tied_checkpoint(kept));
  converted(dir / "old.pt", dir / "old.wmap");
  PlainModel after = {{"a", changed}, {"b", kept}};
  for (std::uint64_t i = 0; i < 10; ++i)  // enough for several threads
    after.emplace_back("other" + std::to_string(i), noise(2'000'000, 10 + i));
  write_plain_model(dir / "new.wmap", after);
  convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap", .jobs = 4});
  CHECK(home_of(dir / "d.wmap", "a").empty());
  CHECK(home_of(dir / "d.wmap", "b") == "old.wmap");
  CHECK(bytes_under(dir / "d.wmap", "a") == changed);
}

TEST_CASE("what is less aligned than asked for is written anew") {
  const TempDir dir;
  const std::string a = noise(100, 1);
  const std::string b = noise(100, 2);
  write_plain_model(dir / "old.wmap", {{"a", a}, {"b", b}}, 64);
  const WeightFile old = *WeightFile::open(dir / "old.wmap");
  for (const std::uint32_t segment : {0U, 1U})
    REQUIRE(old.segment(segment).offset_bytes % 4096 != 0);
  const ConvertReport report = convert_well(dir / "old.wmap", dir / "d.wmap",
                                            {.alignment_bytes = 4096, .base = dir / "old.wmap"});
  CHECK(report.reused_segments == 0);
  CHECK(WeightFile::open(dir / "d.wmap")->data_files().size() == 1);
  const ConvertReport same = convert_well(dir / "d.wmap", dir / "e.wmap",
                                          {.alignment_bytes = 4096, .base = dir / "d.wmap"});
  CHECK(same.reused_segments == 2);
}

TEST_CASE("what would be written is what is compared") {
  const TempDir dir;
  converted(kDigits, dir / "half.wmap", {.float_dtype = Dtype::kFloat16});
  const ConvertReport report = convert_well(
      kDigits, dir / "d.wmap", {.float_dtype = Dtype::kFloat16, .base = dir / "half.wmap"});
  CHECK(report.reused_bytes == report.data_bytes);
  const ConvertReport other = convert_well(
      kDigits, dir / "d.wmap", {.float_dtype = Dtype::kBFloat16, .base = dir / "half.wmap"});
  CHECK(other.reused_bytes < 1000);
}

TEST_CASE("parts of a file are an index over it when it is its own base") {
  const TempDir dir;
  converted(kDigits, dir / "digits.wmap");
  const ConvertReport report =
      convert_well(dir / "digits.wmap", dir / "part.wmap",
                   {.selection = {.include = {"conv*"}}, .base = dir / "digits.wmap"});
  CHECK(report.reused_bytes == report.data_bytes);
  CHECK(WeightFile::open(dir / "part.wmap")->tensor_count() == 4);
}

TEST_CASE("one percent changed takes one percent of the disk") {
  const TempDir dir;
  PlainModel model;
  for (int i = 0; i < 100; ++i)
    model.emplace_back("t" + std::to_string(i), noise(1'000'000, static_cast<std::uint64_t>(i)));
  write_plain_model(dir / "old.wmap", model);
  model[37].second = noise(1'000'000, 1000);
  write_plain_model(dir / "new.wmap", model);
  convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap"});
  struct stat status {};
  REQUIRE(::stat((dir / "d.wmap").c_str(), &status) == 0);
  CHECK(status.st_size > 1'000'000);
  CHECK(status.st_size < 1'020'000);
  CHECK(status.st_blocks * 512 < 1'100'000);
}

TEST_CASE("who serves a delta shares the pages of who serves its base") {
  const TempDir dir;
  constexpr std::uint64_t kBytes = 64U << 20U;
  const std::string same = noise(kBytes, 1);
  write_plain_model(dir / "old.wmap", {{"same", same}, {"b", "1"}});
  write_plain_model(dir / "new.wmap", {{"same", same}, {"b", "2"}});
  convert_well(dir / "new.wmap", dir / "delta.wmap", {.base = dir / "old.wmap"});
  const auto sum_of_pages = [](const WeightFile& file) {
    unsigned sum = 0;
    const auto bytes = file.find("same")->extent();
    for (std::size_t at = 0; at < bytes.size(); at += 4096)
      sum += static_cast<unsigned>(bytes[at]);
    return sum;
  };
  const int status = tests::in_child([&] {
    const pid_t other = ::fork();  // serves the base, as a process of its own
    if (other == 0) {
      const WeightFile base = *WeightFile::open(dir / "old.wmap");
      if (sum_of_pages(base) > 0) ::raise(SIGSTOP);
      ::_exit(0);
    }
    int stopped = 0;
    ::waitpid(other, &stopped, WUNTRACED);
    const WeightFile delta = *WeightFile::open(dir / "delta.wmap");
    const bool is_touched = sum_of_pages(delta) > 0;
    const std::uint64_t rss = tests::bytes_of_mapping(dir / "old.wmap", "Rss:");
    const std::uint64_t pss = tests::bytes_of_mapping(dir / "old.wmap", "Pss:");
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
    return is_touched && WIFSTOPPED(stopped) && rss >= kBytes && pss <= rss / 2 + rss / 50;
  });
  CHECK(tests::exited_well(status));
}

TEST_CASE("a base that cannot be one is refused with the way out") {
  const TempDir dir;
  fs::create_directory(dir / "other");
  converted(kDigits, dir / "old.wmap");
  converted(kDigits, dir / "other/far.wmap");
  fs::copy(kDigits, dir / "model.pt");
  REQUIRE(adopt_checkpoint(dir / "model.pt", dir / "adopted.wmap"));
  const std::string before = read_file(dir / "old.wmap");
  expect_refusal(convert_checkpoint(kDigits, dir / "d.wmap", {.base = dir / "other/far.wmap"}),
                 ErrorCode::kInvalidArgument,
                 dir / "d.wmap: must lie in the directory of " + (dir / "other/far.wmap"));
  expect_refusal(convert_checkpoint(kDigits, dir / "old.wmap", {.base = dir / "old.wmap"}),
                 ErrorCode::kInvalidArgument, "choose another name");
  expect_refusal(convert_checkpoint(kDigits, dir / "d.wmap", {.base = dir / "model.pt"}),
                 ErrorCode::kWrongKind, "weightmap adopt makes one of a checkpoint");
  expect_refusal(convert_checkpoint(kDigits, dir / "d.wmap", {.base = dir / "none.wmap"}),
                 ErrorCode::kNotFound, "none.wmap");
  expect_refusal(convert_checkpoint(kDigits, dir / "model.pt",
                                    {.base = dir / "adopted.wmap", .replace_any = true}),
                 ErrorCode::kInvalidArgument, "to which the new file would refer");
  CHECK(read_file(dir / "old.wmap") == before);
  CHECK(read_file(dir / "model.pt") == read_file(kDigits));
  CHECK_FALSE(fs::exists(dir / "d.wmap"));
}

TEST_CASE("a target to which its base refers is not replaced") {
  const TempDir dir;
  converted(kDigits, dir / "v1.wmap");
  convert_well(kDigits, dir / "v2.wmap", {.base = dir / "v1.wmap"});
  const std::string before = read_file(dir / "v1.wmap");
  expect_refusal(convert_checkpoint(kDigits, dir / "v1.wmap", {.base = dir / "v2.wmap"}),
                 ErrorCode::kInvalidArgument, "to which the new file would refer");
  CHECK(read_file(dir / "v1.wmap") == before);
}

TEST_CASE("a base that is replaced or cut while it is read leaves no file") {
  struct Row {
    const char* what;
    void (*change)(const std::string& path);
  };
  const Row rows[] = {
      {"replaced by another",
       [](const std::string& path) {
         write_plain_model(path + ".x", {{"a", "other"}});
         fs::rename(path + ".x", path);
       }},
      {"cut", [](const std::string& path) { fs::resize_file(path, 100); }},
      {"taken away", [](const std::string& path) { fs::remove(path); }},
      {"changed in its index",
       [](const std::string& path) {
         std::string bytes = read_file(path);
         bytes[200] ^= 1;
         write_file(path, bytes);
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const TempDir dir;
    const std::string base = dir / "old.wmap";
    write_plain_model(base, {{"a", noise(5000, 1)}});
    write_plain_model(dir / "new.wmap", {{"a", noise(5000, 1)}, {"b", noise(5000, 2)}});
    bool is_changed = false;
    const auto change_at_the_end = [&](std::uint64_t done, std::uint64_t total) {
      if (done == total && !is_changed) row.change(base);
      is_changed = done == total;
      return true;
    };
    const auto report = convert_checkpoint(dir / "new.wmap", dir / "d.wmap",
                                           {.base = base, .progress = change_at_the_end});
    expect_refusal(report, ErrorCode::kIo, "data file `old.wmap` was changed or replaced");
    CHECK_FALSE(fs::exists(dir / "d.wmap"));
  }
}

TEST_CASE("a base that is cut before it is compared is an error that names it") {
  const TempDir dir;
  const std::string base = dir / "old.wmap";
  write_plain_model(base, {{"a", noise(5000, 1)}});
  write_plain_model(dir / "new.wmap", {{"a", noise(5000, 1)}});
  const auto cut = [&](std::uint64_t, std::uint64_t) {
    fs::resize_file(base, 1000);
    return true;
  };
  expect_refusal(
      convert_checkpoint(dir / "new.wmap", dir / "d.wmap", {.base = base, .progress = cut}),
      ErrorCode::kCorrupt, base);
  CHECK_FALSE(fs::exists(dir / "d.wmap"));
}

TEST_CASE("a delta whose base is missing or another one is refused by name") {
  const TempDir dir;
  converted(kDigits, dir / "old.wmap");
  convert_well(kDigits, dir / "d.wmap", {.base = dir / "old.wmap"});
  fs::rename(dir / "old.wmap", dir / "moved.wmap");
  const auto missing = WeightFile::open(dir / "d.wmap");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == ErrorCode::kNotFound);
  CHECK(missing.error().message().find("data file `old.wmap`: is missing") != std::string::npos);
  converted(kDigits, dir / "old.wmap", {.float_dtype = Dtype::kFloat16});
  const auto other = WeightFile::open(dir / "d.wmap");
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == ErrorCode::kCorrupt);
  CHECK(other.error().message().find("data file `old.wmap`: is not the file") != std::string::npos);
}

TEST_CASE("progress tells each byte once and may stop while it compares") {
  const TempDir dir;
  write_plain_model(dir / "old.wmap", {{"a", noise(5'000'000, 1)}, {"b", noise(100, 2)}});
  write_plain_model(dir / "new.wmap", {{"a", noise(5'000'000, 1)}, {"b", noise(100, 3)}});
  std::uint64_t last = 0;
  int calls = 0;
  const auto watch = [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 5'000'100);
    CHECK(done >= last);
    last = done;
    ++calls;
    return true;
  };
  convert_well(dir / "new.wmap", dir / "d.wmap", {.base = dir / "old.wmap", .progress = watch});
  CHECK(last == 5'000'100);
  fs::remove(dir / "d.wmap");
  int left = 2;
  expect_refusal(convert_checkpoint(dir / "new.wmap", dir / "d.wmap",
                                    {.base = dir / "old.wmap",
                                     .progress = [&](auto, auto) { return left-- > 0; }}),
                 ErrorCode::kCancelled, "cancelled");
  CHECK_FALSE(fs::exists(dir / "d.wmap"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
