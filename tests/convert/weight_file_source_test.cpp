// SPDX-License-Identifier: Apache-2.0
// A weight file as what is converted: the same file comes out, wherever its bytes lay.
#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/fixtures.h"
#include "support/golden_files.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::converted;
using tests::expect_refusal;
using tests::read_file;
using tests::TempDir;
using tests::write_file;
namespace fs = std::filesystem;

const std::string kDigits = WEIGHTMAP_TEST_DATA "/digits/digits.pt";

std::string fixture(std::string_view name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/torch-2.13/" + std::string(name) + ".pt";
}

// The bytes of what a source becomes, which is looked at on the way.
std::string converted_bytes(const std::string& source, const ConvertOptions& options = {}) {
  const TempDir dir;
  converted(source, dir / "x.wmap", options);
  return read_file(dir / "x.wmap");
}

TEST_SUITE_BEGIN("convert/weight_file_source");

TEST_CASE("a weight file converted again is the same file") {
  for (const std::string& checkpoint : tests::all_checkpoints()) {
    CAPTURE(checkpoint);
    for (const std::uint32_t alignment : {64U, 4096U}) {
      const TempDir dir;
      converted(checkpoint, dir / "a.wmap", {.alignment_bytes = alignment});
      const auto report =
          convert_checkpoint(dir / "a.wmap", dir / "b.wmap", {.alignment_bytes = alignment});
      REQUIRE_MESSAGE(report, (report ? "" : report.error().message()));
      CHECK(report->source_kind == "weight file");
      CHECK(report->trimmed_bytes == 0);
      CHECK(read_file(dir / "b.wmap") == read_file(dir / "a.wmap"));
    }
  }
}

TEST_CASE("an adopted checkpoint becomes the file that its conversion makes") {
  for (const std::string& checkpoint : tests::all_checkpoints()) {
    CAPTURE(checkpoint);
    for (const bool digests : {true, false}) {
      const TempDir dir;
      fs::copy(checkpoint, dir / "model.pt");
      REQUIRE(adopt_checkpoint(dir / "model.pt", dir / "adopted.wmap", {.digests = digests}));
      CHECK(converted_bytes(dir / "adopted.wmap") == converted_bytes(checkpoint));
    }
  }
}

TEST_CASE("several adopted files become one that needs none of them") {
  const TempDir dir;
  const std::string sharded = WEIGHTMAP_TEST_DATA "/sources/sharded";
  fs::copy(sharded, dir / "model");
  REQUIRE(adopt_checkpoint(dir / "model", dir / "model/adopted.wmap"));
  const WeightFile whole = converted(dir / "model/adopted.wmap", dir / "whole.wmap");
  CHECK(whole.data_files().size() == 1);
  CHECK(read_file(dir / "whole.wmap") == converted_bytes(sharded));
}

TEST_CASE("hand-made files keep all that they say") {
  for (const char* name : {"minimal", "features", "composites"}) {
    CAPTURE(name);
    const TempDir dir;
    const std::string golden = std::string(WEIGHTMAP_TEST_DATA "/") + name + ".wmap";
    const WeightFile before = *WeightFile::open(golden);
    const auto report = convert_checkpoint(golden, dir / "again.wmap", {.whole_storages = true});
    REQUIRE_MESSAGE(report, (report ? "" : report.error().message()));
    const WeightFile after = *WeightFile::open(dir / "again.wmap");
    REQUIRE(after.tensor_count() == before.tensor_count());
    for (std::uint32_t i = 0; i < before.tensor_count(); ++i) {
      CAPTURE(before.name(i));
      CHECK(after.name(i) == before.name(i));
      CHECK(after.tensor(i).flags() == before.tensor(i).flags());
      CHECK(std::ranges::equal(after.tensor(i).strides(), before.tensor(i).strides()));
      CHECK(std::ranges::equal(after.tensor(i).extent(), before.tensor(i).extent()));
    }
    CHECK(after.composite_count() == before.composite_count());
    CHECK(after.modules().size() == before.modules().size());
    CHECK(after.values()->size() == before.values()->size());
    CHECK(after.values()->all_text() == before.values()->all_text());
  }
}

TEST_CASE("a file without values keeps having none, and can be chosen from") {
  const TempDir dir;
  tests::WholeContent whole = tests::composites_content();
  whole.content.values = {};
  const tests::Bytes bytes = tests::encode_file(whole);
  write_file(dir / "a.wmap", tests::text_of(bytes));
  const WeightFile same = converted(dir / "a.wmap", dir / "b.wmap");
  CHECK(same.values()->empty());
  CHECK(same.composite_count() == WeightFile::open(dir / "a.wmap")->composite_count());
  const std::string first(same.composite_name(0));
  const auto report =
      convert_checkpoint(dir / "a.wmap", dir / "c.wmap", {.selection = {.include = {first}}});
  REQUIRE_MESSAGE(report, (report ? "" : report.error().message()));
  CHECK(report->left_out_values == 0);
  CHECK(WeightFile::open(dir / "c.wmap")->composite_count() == 1);
}

TEST_CASE("selection and casts of a weight file are those of its checkpoint") {
  const ConvertOptions changes[] = {
      {.selection = {.include = {"conv*", "fc.*"}, .rename = {{"fc.*", "head.*"}}}},
      {.float_dtype = Dtype::kBFloat16},
      {.selection = {.exclude = {"bn*"}}, .float_dtype = Dtype::kFloat64, .alignment_bytes = 4096},
  };
  const TempDir dir;
  converted(kDigits, dir / "digits.wmap");
  for (const ConvertOptions& options : changes)
    CHECK(converted_bytes(dir / "digits.wmap", options) == converted_bytes(kDigits, options));
}

TEST_CASE("storages that were kept whole are trimmed, or kept again") {
  const TempDir dir;
  const std::string views = fixture("views");
  converted(views, dir / "whole.wmap", {.whole_storages = true});
  CHECK(converted_bytes(dir / "whole.wmap") == converted_bytes(views));
  CHECK(converted_bytes(dir / "whole.wmap", {.whole_storages = true}) ==
        read_file(dir / "whole.wmap"));
}

TEST_CASE("composites, subclasses, modules and objects of all kinds stay what they are") {
  std::size_t count = 0;
  for (const char* folder : {"composites", "subclasses", "modules", "objects"}) {
    const std::string directory = std::string(WEIGHTMAP_TEST_DATA "/checkpoints/") + folder;
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() != ".pt") continue;
      const std::string source = entry.path().string();
      CAPTURE(source);
      ++count;
      const TempDir dir;
      converted(source, dir / "a.wmap");
      CHECK(converted_bytes(dir / "a.wmap") == read_file(dir / "a.wmap"));
      const ConvertOptions options{.selection = {.include = {"*"}}};
      const TempDir chosen;
      if (!convert_checkpoint(source, chosen / "x.wmap", options)) continue;  // without a tensor
      CHECK(converted_bytes(dir / "a.wmap", options) == read_file(chosen / "x.wmap"));
    }
  }
  CHECK(count >= 8);
}

TEST_CASE("damaged bytes get no new digest") {
  struct Row {
    const char* what;
    ConvertOptions options;
  };
  const Row rows[] = {{"as they are", {}}, {"cast", {.float_dtype = Dtype::kFloat16}}};
  const TempDir dir;
  const WeightFile good = converted(kDigits, dir / "digits.wmap");
  std::string bytes = read_file(dir / "digits.wmap");
  bytes[good.place(*good.find_number("hidden.weight")).offset_bytes + 5] ^= 1;
  write_file(dir / "damaged.wmap", bytes);
  for (const Row& row : rows) {
    CAPTURE(row.what);
    expect_refusal(convert_checkpoint(dir / "damaged.wmap", dir / "x.wmap", row.options),
                   ErrorCode::kCorrupt, "the bytes of `hidden.weight` are not what was written");
    CHECK_FALSE(fs::exists(dir / "x.wmap"));
  }
}

TEST_CASE("damage outside of what is left of a segment is found, too") {
  const TempDir dir;
  const WeightFile whole = converted(fixture("views"), dir / "w.wmap", {.whole_storages = true});
  std::string bytes = read_file(dir / "w.wmap");
  // The first byte of a segment that no tensor begins with.
  for (std::uint32_t segment = 0; segment < whole.segment_count(); ++segment) {
    const std::uint64_t at = whole.segment(segment).offset_bytes;
    bool is_used = false;
    for (std::uint32_t i = 0; i < whole.tensor_count(); ++i)
      is_used |= whole.place(i).segment == segment && whole.place(i).offset_bytes == at;
    if (is_used) continue;
    bytes[at] ^= 1;
    write_file(dir / "damaged.wmap", bytes);
    expect_refusal(convert_checkpoint(dir / "damaged.wmap", dir / "x.wmap"), ErrorCode::kCorrupt,
                   "are not what was written");
    return;
  }
  FAIL("the fixture has no such segment");
}

TEST_CASE("what is missing, itself, or no root is refused") {
  const TempDir dir;
  fs::copy(kDigits, dir / "model.pt");
  REQUIRE(adopt_checkpoint(dir / "model.pt", dir / "adopted.wmap"));
  converted(kDigits, dir / "digits.wmap");
  expect_refusal(convert_checkpoint(dir / "digits.wmap", dir / "digits.wmap"),
                 ErrorCode::kInvalidArgument, "source and target are the same file");
  expect_refusal(
      convert_checkpoint(dir / "digits.wmap", dir / "x.wmap", {.checkpoint = {.root = "model"}}),
      ErrorCode::kInvalidArgument, "include `model.*` and strip the prefix `model.`");
  expect_refusal(convert_checkpoint(dir / "adopted.wmap", dir / "model.pt", {.replace_any = true}),
                 ErrorCode::kInvalidArgument, "source and target are the same file");
  fs::remove(dir / "model.pt");
  expect_refusal(convert_checkpoint(dir / "adopted.wmap", dir / "x.wmap"), ErrorCode::kNotFound,
                 "data file `model.pt`: is missing");
  CHECK(dir.names() == std::vector<std::string>{"adopted.wmap", "digits.wmap"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
