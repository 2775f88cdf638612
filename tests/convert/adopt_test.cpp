// SPDX-License-Identifier: Apache-2.0
// An adopted checkpoint says what a converted one says; only where the bytes are differs.
#include <algorithm>
#include <filesystem>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "support/file_bytes.h"
#include "support/fixtures.h"
#include "support/reported.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::expect_refusal;
using tests::read_file;
using tests::TempDir;
using tests::write_file;
namespace fs = std::filesystem;

const std::string kCheckpoints = WEIGHTMAP_TEST_DATA "/checkpoints/";

const std::string kSources = WEIGHTMAP_TEST_DATA "/sources/";

// A checkpoint in a directory of its own.
struct Adopted {
  explicit Adopted(const std::string& fixture) { fs::copy(fixture, source); }

  AdoptReport adopt(const AdoptOptions& options = {}) const {
    const auto report = adopt_checkpoint(source, target, options);
    INFO((report ? "" : report.error().message()));
    REQUIRE(report);
    return *report;
  }
  WeightFile open() const {
    const auto file = WeightFile::open(target);
    INFO((file ? "" : file.error().message()));
    REQUIRE(file);
    return *file;
  }

  TempDir dir;
  std::string source = dir / "model.pt";
  std::string target = dir / "model.wmap";
};

std::string digits() {
  return WEIGHTMAP_TEST_DATA "/digits/digits.pt";
}

void check_same_tensors(const WeightFile& a, const WeightFile& b) {
  REQUIRE(a.tensor_count() == b.tensor_count());
  for (std::uint32_t i = 0; i < a.tensor_count(); ++i) {
    const TensorView x = a.tensor(i);
    const TensorView y = b.tensor(i);
    CAPTURE(x.name());
    CHECK(x.name() == y.name());
    CHECK(x.dtype() == y.dtype());
    CHECK(std::ranges::equal(x.shape(), y.shape()));
    CHECK(std::ranges::equal(x.strides(), y.strides()));
    CHECK(x.is_parameter() == y.is_parameter());
    CHECK(x.requires_grad() == y.requires_grad());
    CHECK(x.is_conj() == y.is_conj());
    CHECK(x.is_meta() == y.is_meta());
    CHECK(std::ranges::equal(x.extent(), y.extent()));
  }
}

// Tensors share bytes in one file exactly where they do in the other.
void check_same_sharing(const WeightFile& a, const WeightFile& b) {
  for (std::uint32_t i = 0; i < a.tensor_count(); ++i) {
    for (std::uint32_t j = 0; j < i; ++j) {
      const bool shared = a.place(i).segment && a.place(i).segment == a.place(j).segment;
      CHECK(shared == (b.place(i).segment && b.place(i).segment == b.place(j).segment));
      if (!shared) continue;
      CHECK(a.tensor(i).data() - a.tensor(j).data() == b.tensor(i).data() - b.tensor(j).data());
    }
  }
}

TEST_SUITE_BEGIN("convert/adopt");

TEST_CASE("an adopted checkpoint says what a converted one does") {
  const auto fixtures = tests::all_checkpoints();
  REQUIRE(fixtures.size() > 30);
  for (const std::string& fixture : fixtures) {
    CAPTURE(fixture);
    const Adopted pair(fixture);
    const AdoptReport report = pair.adopt();
    const WeightFile adopted = pair.open();
    REQUIRE(convert_checkpoint(pair.source, pair.dir / "copy.wmap"));
    const WeightFile copied = *WeightFile::open(pair.dir / "copy.wmap");
    check_same_tensors(adopted, copied);
    if (adopted.tensor_count() < 200) check_same_sharing(adopted, copied);
    CHECK(report.digest == adopted.digest());
    CHECK(report.tensor_count == adopted.tensor_count());
    CHECK(report.segment_count == adopted.segment_count());
    CHECK(report.file_bytes == adopted.size_bytes());
    const auto values = adopted.values();
    const auto copied_values = copied.values();
    REQUIRE(values);
    REQUIRE(copied_values);
    CHECK(values->size() == copied_values->size());
    CHECK(values->all_text() == copied_values->all_text());
    const auto verified = adopted.verify();
    REQUIRE(verified);
    CHECK(verified->ok());
    CHECK(verified->segments_without_digest == 0);
    CHECK(verified->bytes_checked == report.data_bytes);
  }
}

TEST_CASE("no tensor's bytes are written and the source is not touched") {
  const Adopted pair(digits());
  const AdoptReport report = pair.adopt();
  CHECK(read_file(pair.source) == read_file(digits()));
  CHECK(report.file_bytes == fs::file_size(pair.target));
  CHECK(report.file_bytes < 8192);
  REQUIRE(report.data_files.size() == 1);
  CHECK(report.data_files[0].name == "model.pt");
  CHECK(report.data_files[0].size_bytes == fs::file_size(digits()));
  CHECK(report.data_files[0].alignment_bytes == 64);
  CHECK(report.data_bytes == 673016);
  CHECK(pair.dir.names() == std::vector<std::string>{"model.pt", "model.wmap"});
}

TEST_CASE("every place is a multiple of the alignment that is recorded") {
  for (const std::string& fixture : tests::all_checkpoints()) {
    CAPTURE(fixture);
    const Adopted pair(fixture);
    for (const AdoptedFile& file : pair.adopt().data_files) {
      const WeightFile weights = pair.open();
      std::uint64_t all = 0;
      for (std::uint32_t i = 0; i < weights.segment_count(); ++i)
        all |= weights.segment(i).offset_bytes;
      CHECK(all % file.alignment_bytes == 0);
      CHECK((all % (2 * file.alignment_bytes) != 0 || file.alignment_bytes == 2U << 20U));
    }
  }
}

TEST_CASE("without digests the tensors are not read and nothing is said of them") {
  const Adopted pair(digits());
  std::uint64_t read_bytes = 0;
  pair.adopt({.digests = false, .progress = [&](std::uint64_t done, std::uint64_t) {
                read_bytes += done;
                return true;
              }});
  CHECK(read_bytes == 0);
  const auto report = pair.open().verify();
  REQUIRE(report);
  CHECK(report->ok());
  CHECK(report->segments_checked == 0);
  CHECK(report->segments_without_digest == 18);
}

TEST_CASE("damage of an adopted tensor is found by its digest") {
  const Adopted pair(digits());
  pair.adopt();
  const std::uint64_t at = pair.open().place(*pair.open().find_number("fc.bias")).offset_bytes;
  std::string bytes = read_file(pair.source);
  bytes[at] ^= 1;
  write_file(pair.source, bytes);
  const WeightFile file = pair.open();
  const auto report = file.verify();
  REQUIRE(report);
  REQUIRE(report->damages.size() == 1);
  CHECK(report->damages[0].data_file == 1);
  CHECK(std::ranges::find(report->damages[0].tensors, "fc.bias") !=
        report->damages[0].tensors.end());
}

TEST_CASE("a checkpoint that changed after it was adopted is refused") {
  const Adopted pair(digits());
  pair.adopt({.digests = false});
  const std::string bytes = read_file(pair.source);
  std::string other = bytes;
  other[bytes.rfind("PK\1\2") + 16] ^= 1;  // the CRC of the last record
  const std::string_view changed[] = {other, std::string_view(bytes).substr(0, bytes.size() / 2),
                                      ""};
  for (const std::string_view content : changed) {
    write_file(pair.source, content);
    const auto opened = WeightFile::open(pair.target);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code() == ErrorCode::kCorrupt);
  }
  write_file(pair.source, bytes);
  CHECK(WeightFile::open(pair.target).has_value());
}

TEST_CASE("a link beside the index stands for the file that it leads to") {
  const TempDir dir;
  fs::create_directories(dir / "blobs");
  fs::copy(digits(), dir / "blobs/4f2a");
  fs::create_directories(dir / "snapshot");
  fs::create_symlink("../blobs/4f2a", dir / "snapshot/model.pt");
  const auto report = adopt_checkpoint(dir / "snapshot/model.pt", dir / "snapshot/model.wmap");
  REQUIRE(report);
  CHECK(report->data_files[0].name == "model.pt");
  CHECK(WeightFile::open(dir / "snapshot/model.wmap").has_value());
}

TEST_CASE("both files moved together still belong together") {
  const Adopted pair(digits());
  pair.adopt();
  fs::create_directory(pair.dir / "elsewhere");
  fs::rename(pair.source, pair.dir / "elsewhere/model.pt");
  fs::rename(pair.target, pair.dir / "elsewhere/model.wmap");
  CHECK(WeightFile::open(pair.dir / "elsewhere/model.wmap")->verify()->ok());
}

TEST_CASE("a target in another directory is refused with the reason") {
  const Adopted pair(digits());
  fs::create_directory(pair.dir / "other");
  expect_refusal(adopt_checkpoint(pair.source, pair.dir / "other/model.wmap"),
                 ErrorCode::kInvalidArgument, "must lie in the directory of " + pair.source);
  fs::copy(digits(), pair.dir / "other/model.pt");  // the same name, another file
  expect_refusal(adopt_checkpoint(pair.source, pair.dir / "other/model.wmap"),
                 ErrorCode::kInvalidArgument, "must lie in the directory of " + pair.source);
  CHECK_FALSE(fs::exists(pair.dir / "other/model.wmap"));
}

TEST_CASE("a file whose name an index cannot hold is to be renamed") {
  const TempDir dir;
  fs::copy(digits(), dir / "caf\xe9.pt");
  expect_refusal(adopt_checkpoint(dir / "caf\xe9.pt", dir / "model.wmap"),
                 ErrorCode::kInvalidArgument, "\xe9.pt: its name is not UTF-8");
  CHECK(dir.names() == std::vector<std::string>{"caf\xe9.pt"});
}

TEST_CASE("the source and what is no weight file are not replaced") {
  const Adopted pair(digits());
  expect_refusal(adopt_checkpoint(pair.source, pair.source, {.replace_any = true}),
                 ErrorCode::kInvalidArgument, "source and target are the same file");
  write_file(pair.target, "precious");
  expect_refusal(adopt_checkpoint(pair.source, pair.target), ErrorCode::kExists,
                 "not a weight file");
  CHECK(read_file(pair.target) == "precious");
  CHECK(pair.adopt({.replace_any = true}).tensor_count == 20);
  CHECK(pair.adopt().tensor_count == 20);  // a weight file always is
}

TEST_CASE("a root is taken alone and the other tensors' bytes are not referred to") {
  const Adopted pair(kCheckpoints + "torch-2.13/training.pt");
  const AdoptReport whole = pair.adopt();
  const AdoptReport model = pair.adopt({.checkpoint = {.root = "model"}});
  CHECK(model.tensor_count < whole.tensor_count);
  CHECK(model.data_bytes < whole.data_bytes);
  CHECK(pair.open().verify()->ok());
}

TEST_CASE("safetensors are adopted") {
  for (const char* name : {"dtypes", "shapes", "unaligned", "only_metadata"}) {
    CAPTURE(name);
    const TempDir dir;
    const std::string source = dir / "model.safetensors";
    fs::copy(kSources + "safetensors/" + name + ".safetensors", source);
    REQUIRE(convert_checkpoint(source, dir / "copy.wmap"));
    const auto report = adopt_checkpoint(source, dir / "model.wmap");
    INFO((report ? "" : report.error().message()));
    REQUIRE(report);
    const auto file = WeightFile::open(dir / "model.wmap");
    INFO((file ? "" : file.error().message()));
    REQUIRE(file);
    check_same_tensors(*file, *WeightFile::open(dir / "copy.wmap"));
    CHECK(file->verify()->ok());
  }
}

TEST_CASE("a sharded checkpoint is adopted with a data file for each shard") {
  for (const char* name : {"sharded", "sharded_bin"}) {
    CAPTURE(name);
    const TempDir dir;
    fs::copy(kSources + name, dir.path(), fs::copy_options::recursive);
    REQUIRE(convert_checkpoint(dir.path(), dir / "copy.wmap"));
    const auto report = adopt_checkpoint(dir.path(), dir / "model.wmap");
    INFO((report ? "" : report.error().message()));
    REQUIRE(report);
    CHECK(report->data_files.size() == 2);
    const auto file = WeightFile::open(dir / "model.wmap");
    INFO((file ? "" : file.error().message()));
    REQUIRE(file);
    check_same_tensors(*file, *WeightFile::open(dir / "copy.wmap"));
    CHECK(file->verify()->ok());
    fs::remove(dir / report->data_files[1].name);
    const auto opened = WeightFile::open(dir / "model.wmap");
    REQUIRE_FALSE(opened);
    CHECK(opened.error().message().find(report->data_files[1].name) != std::string::npos);
  }
}

TEST_CASE("what is not stored plainly is named with its tensors and the way out") {
  struct Row {
    const char* name;
    const char* text;
  };
  const Row rows[] = {{"zip_deflated", "(compressed)"},
                      {"zip_big_endian", "(big-endian)"},
                      {"legacy_2_13", "which an index cannot refer to"}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Adopted pair(kCheckpoints + "containers/" + row.name + ".pt");
    const auto report = adopt_checkpoint(pair.source, pair.target);
    expect_refusal(report, ErrorCode::kUnsupported, row.text);
    expect_refusal(report, ErrorCode::kUnsupported, "use weightmap convert");
    CHECK(pair.dir.names() == std::vector<std::string>{"model.pt"});
  }
}

TEST_CASE("a distributed checkpoint is refused by a data file's name, before that is read") {
  for (const char* name : {"distributed", "distributed_chunks"}) {
    for (const bool digests : {true, false}) {
      CAPTURE(name);
      const TempDir dir;
      fs::copy(kSources + name, dir.path(), fs::copy_options::recursive);
      write_file(dir / "__0_0.distcp", "");
      const auto before = dir.names();
      const auto report = adopt_checkpoint(dir.path(), dir / "model.wmap", {.digests = digests});
      expect_refusal(report, ErrorCode::kUnsupported,
                     (dir / "__0_0.distcp") + ": holds the archives of a distributed checkpoint");
      expect_refusal(report, ErrorCode::kUnsupported, "use weightmap convert");
      CHECK(dir.names() == before);
    }
  }
}

TEST_CASE("composites are adopted with their parts") {
  const Adopted pair(kCheckpoints + "composites/torch-2.13.pt");
  pair.adopt();
  const WeightFile adopted = pair.open();
  REQUIRE(convert_checkpoint(pair.source, pair.dir / "copy.wmap"));
  const WeightFile copied = *WeightFile::open(pair.dir / "copy.wmap");
  check_same_tensors(adopted, copied);
  REQUIRE(adopted.composite_count() == copied.composite_count());
  CHECK(adopted.composite_count() > 5);
  for (std::uint32_t i = 0; i < adopted.composite_count(); ++i)
    CHECK(adopted.composite_name(i) == copied.composite_name(i));
}

TEST_CASE("a stopped adoption leaves nothing") {
  const Adopted pair(digits());
  expect_refusal(adopt_checkpoint(pair.source, pair.target,
                                  {.progress = [](std::uint64_t, std::uint64_t) { return false; }}),
                 ErrorCode::kCancelled, "cancelled");
  CHECK(pair.dir.names() == std::vector<std::string>{"model.pt"});
}

TEST_CASE("the same checkpoint gives the same index") {
  const Adopted pair(digits());
  pair.adopt();
  const std::string first = read_file(pair.target);
  pair.adopt();
  CHECK(read_file(pair.target) == first);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
