// SPDX-License-Identifier: Apache-2.0
#include "weightmap/weight_file.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::TempDir;
using tests::tensor_in;

format::Content sample_content() {
  format::Content content;
  content.tensors = {tensor_in(0, "a.weight", {2, 2}), tensor_in(0, "tied", {2, 2}),
                     tensor_in(0, "view", {2}), tensor_in(1, "b", {3}, Dtype::kInt16)};
  content.tensors[2].strides = {2};
  content.tensors[2].offset_bytes = 4;
  content.modules = {{.path = "b", .version = 2}, {.path = "", .version = 1}};
  content.values.add_text(ValueKind::kStr, "hello");
  content.producer = "test";
  return content;
}

std::vector<std::vector<std::byte>> sample_segments() {
  return {bytes_of(std::vector<float>{1, 2, 3, 4}), bytes_of(std::vector<std::int16_t>{7, 8, 9})};
}

std::shared_ptr<tests::AlignedBytes> sample_bytes() {
  return build_file(sample_content(), sample_segments());
}

std::string write_sample(const TempDir& dir) {
  const std::string path = dir / "sample.wmap";
  tests::write_file(path, tests::text_of(sample_bytes()->bytes()));
  return path;
}

TEST_SUITE_BEGIN("runtime/weight_file");

TEST_CASE("tensors are found by name and come in definition order") {
  const WeightFile file = open_built(sample_bytes());
  REQUIRE(file.tensor_count() == 4);
  std::vector<std::string_view> names;
  for (const TensorView tensor : file)
    names.push_back(tensor.name());
  CHECK(names == std::vector<std::string_view>{"a.weight", "tied", "view", "b"});
  CHECK(file.find_number("view") == 2);
  CHECK_FALSE(file.find("vie"));
  CHECK_FALSE(file.find(""));
  CHECK((*file.find("b")->values<std::int16_t>())[2] == 9);
}

TEST_CASE("ties and views keep their places") {
  const WeightFile file = open_built(sample_bytes());
  const auto base = *file.find("a.weight");
  CHECK(file.find("tied")->data() == base.data());
  const auto view = *file.find("view");
  CHECK(view.data() == base.data() + 4);
  CHECK(view.extent().size() == 12);
  CHECK(file.place(2).segment == 0U);
  CHECK(file.place(2).offset_bytes == file.segment(0).offset_bytes + 4);
  CHECK(file.mapping().data() + file.place(2).offset_bytes == view.data());
}

TEST_CASE("modules are told by path") {
  const WeightFile file = open_built(sample_bytes());
  CHECK(file.module_version("") == 1);
  CHECK(file.module_version("b") == 2);
  CHECK_FALSE(file.module_version("a"));
  REQUIRE(file.modules().size() == 2);
  CHECK(file.modules()[1].path == "b");
}

TEST_CASE("the rest of the checkpoint is read when asked for") {
  const auto values = open_built(sample_bytes()).values();
  REQUIRE(values);
  CHECK(values->text(values->root()) == "hello");
}

TEST_CASE("a path, a descriptor and memory give the same file") {
  const TempDir dir;
  const std::string path = write_sample(dir);
  const auto by_path = WeightFile::open(path);
  REQUIRE(by_path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto by_descriptor = WeightFile::open_descriptor(descriptor, "fd");
  ::close(descriptor);
  REQUIRE(by_descriptor);
  const WeightFile in_memory = open_built(sample_bytes());
  for (const WeightFile& file : {*by_path, *by_descriptor}) {
    CHECK(file.digest() == in_memory.digest());
    CHECK(std::ranges::equal(file.mapping(), in_memory.mapping()));
    CHECK((*file.find("a.weight")->values<float>())[3] == 4.0F);
  }
  CHECK(by_path->path() == path);
  CHECK(by_descriptor->path() == "fd");
}

TEST_CASE("facts about the file are told") {
  const auto bytes = sample_bytes();
  const WeightFile file = open_built(bytes);
  CHECK(file.size_bytes() == bytes->bytes().size());
  CHECK(file.alignment_bytes() == 64);
  CHECK(file.format_version() == "1.0");
  REQUIRE(file.data_files().size() == 1);
  CHECK(file.data_files()[0].kind == "self");
  CHECK(file.data_files()[0].size_bytes == file.size_bytes());
  CHECK(file.segment_count() == 2);
  CHECK(file.segment(1).size_bytes == 6);
}

TEST_CASE("what is no weight file is named, with the path in front") {
  const TempDir dir;
  struct Row {
    std::string bytes;
    ErrorCode code;
    const char* text;
  };
  const std::vector<Row> rows{
      {"", ErrorCode::kWrongKind, "an empty file"},
      {std::string("PK\3\4") + std::string(200, 'x'), ErrorCode::kWrongKind, "a zip archive"},
      {"GGUF....", ErrorCode::kWrongKind, "GGUF"},
      {"<!DOCTYPE html><html>", ErrorCode::kWrongKind, "HTML"},
      {"version https://git-lfs.github.com/spec/v1\n", ErrorCode::kWrongKind, "Git LFS"},
      {std::string(300, 'q'), ErrorCode::kWrongKind, "not known"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const std::string path = dir / "x";
    tests::write_file(path, row.bytes);
    const auto file = WeightFile::open(path);
    REQUIRE_FALSE(file);
    CHECK(file.error().code() == row.code);
    CHECK(file.error().message().starts_with(path + ": "));
    CHECK(file.error().message().find(row.text) != std::string::npos);
  }
  CHECK(WeightFile::open(dir / "none").error().code() == ErrorCode::kNotFound);
  CHECK(WeightFile::open(dir.path()).error().code() == ErrorCode::kInvalidArgument);
}

TEST_CASE("a file that needs what this version lacks is refused by name") {
  const auto bytes = sample_bytes();
  const auto file = bytes->bytes();
  // The bit of data files, which nothing in the index uses: the rule that says so comes first.
  file[16] = std::byte{4};
  const Digest digest = digest_of(std::span<const std::byte>(file).first(112));
  std::ranges::copy(digest.bytes, file.begin() + 112);
  const auto opened = WeightFile::from_memory(file, bytes, "x");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message().find("R21") != std::string::npos);
}

TEST_CASE("a process that only opened and bound has touched no page of the blob") {
  const TempDir dir;
  format::Content content = sample_content();
  auto segments = sample_segments();
  segments[0].resize(4U << 20U);
  content.tensors[0] = tensor_in(0, "a.weight", {1 << 20});
  const std::string path = dir / "big.wmap";
  tests::write_file(path, tests::text_of(build_file(content, segments)->bytes()));
  const auto file = WeightFile::open(path);
  REQUIRE(file);
  const auto found = file->find("a.weight");
  REQUIRE(found);
  CHECK(tests::resident_bytes_of_mapping(path) == 0);
  CHECK((*found->values<float>())[1] == 2.0F);
  CHECK(tests::resident_bytes_of_mapping(path) > 0);
}

TEST_CASE("another process that maps the file sees the same bytes at the same cost") {
  const TempDir dir;
  const std::string path = write_sample(dir);
  const pid_t child = fork();
  if (child == 0) {
    const auto file = WeightFile::open(path);
    const bool same = file && std::ranges::equal(file->mapping(), sample_bytes()->bytes());
    _exit(same ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("bytes in memory at a wrong address are refused") {
  const auto bytes = sample_bytes();
  const auto opened =
      WeightFile::from_memory(std::span<const std::byte>(bytes->bytes()).subspan(8), bytes, "x");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == ErrorCode::kInvalidArgument);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
