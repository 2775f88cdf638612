// SPDX-License-Identifier: Apache-2.0
// Data files beside a weight file. Their identities are computed here as FORMAT.md 3 says, from
// the places where the bytes were put.
#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "base/hash.h"
#include "support/built_file.h"
#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/smaps.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::bytes_of;
using tests::TempDir;
using tests::tensor_in;
using tests::write_file;

constexpr std::size_t kFloats = 4096;

// A data file of some kind, and where its floats lie in it.
struct Data {
  fb::DataFileKind kind = fb::DataFileKind::zip;
  std::string bytes;
  std::uint64_t floats_begin = 0;
  Digest identity;
};

std::string floats() {
  std::vector<float> values(kFloats);
  for (std::size_t i = 0; i < kFloats; ++i)
    values[i] = static_cast<float>(i) + 0.5F;
  const auto bytes = bytes_of(values);
  return std::string(tests::text_of(bytes));
}

Digest digest_of_text(std::string_view text) {
  return digest_of(tests::bytes_of(text));
}

Data zip_data(const std::string& comment = {}) {
  Data data{.bytes = tests::write_zip({{"archive/data/0", floats()}}, {.comment = comment})};
  data.floats_begin = data.bytes.find(floats());
  const std::size_t directory = data.bytes.rfind("PK\1\2");
  data.identity = digest_of_text(std::string_view(data.bytes).substr(directory));
  return data;
}

Data safetensors_data() {
  const std::string header = R"({"w":{"dtype":"F32","shape":[4096],"data_offsets":[0,16384]}}   )";
  Data data{.kind = fb::DataFileKind::safetensors,
            .bytes = static_cast<char>(header.size()) + std::string(7, '\0') + header + floats(),
            .floats_begin = 8 + header.size()};
  data.identity = digest_of_text(std::string_view(data.bytes).substr(0, data.floats_begin));
  return data;
}

Data wmap_data() {
  format::Content content;
  content.tensors = {tensor_in(0, "w", {static_cast<std::int64_t>(kFloats)})};
  const std::string values = floats();
  const auto raw = tests::bytes_of(values);
  const auto file = tests::build_file(content, {{raw.begin(), raw.end()}});
  Data data{.kind = fb::DataFileKind::wmap, .bytes = std::string(tests::text_of(file->bytes()))};
  data.floats_begin = data.bytes.find(floats());
  std::ranges::copy(tests::bytes_of(data.bytes).subspan(96, 16), data.identity.bytes.begin());
  return data;
}

format::Content content_over(const Data& data, const std::string& name) {
  format::Content content;
  content.tensors = {tensor_in(0, "own", {2}),
                     tensor_in(1, "w", {static_cast<std::int64_t>(kFloats)}),
                     tensor_in(1, "part", {3})};
  content.tensors[2].offset_bytes = 8;
  content.data_files = {{.name = name,
                         .kind = data.kind,
                         .size_bytes = data.bytes.size(),
                         .alignment_bytes = 4,
                         .identity = data.identity,
                         .segments = {{data.floats_begin, floats().size()}}}};
  return content;
}

std::string weight_file_over(const Data& data, const std::string& name = "data") {
  const auto own = bytes_of(std::vector<float>{7, 8});
  const auto built = tests::build_file(content_over(data, name), {own}, {digest_of_text(floats())});
  return std::string(tests::text_of(built->bytes()));
}

// A weight file and its data file, on disk.
struct Pair {
  explicit Pair(const Data& data) {
    write_file(dir / "data", data.bytes);
    write_file(path, weight_file_over(data));
  }
  TempDir dir;
  std::string path = dir / "model.wmap";
};

struct Net : Module {
  Buffer<float> own{*this, "own", {2}};
  Buffer<float> w{*this, "w", {static_cast<std::int64_t>(kFloats)}};
  Buffer<float> part{*this, "part", {3}};
};

void expect_refusal(const std::string& path, ErrorCode code, std::string_view text) {
  const auto opened = WeightFile::open(path);
  REQUIRE_FALSE(opened);
  CAPTURE(opened.error().message());
  CHECK(opened.error().code() == code);
  CHECK(opened.error().message().starts_with(path + ": data file `data`"));
  CHECK(opened.error().message().find(text) != std::string::npos);
}

TEST_SUITE_BEGIN("runtime/data_files");

TEST_CASE("a module keeps a file of which only a data file is still in use") {
  Net net;
  const Pair first(zip_data());
  {
    const auto file = WeightFile::open(first.path);
    REQUIRE_MESSAGE(file.has_value(), file.error().message());
    REQUIRE(bind(net, *file).ok());
  }
  format::Content content;
  content.tensors = {tensor_in(0, "own", {2})};
  const auto own = bytes_of(std::vector<float>{1, 2});
  const WeightFile second = tests::open_built(tests::build_file(content, {own}));
  REQUIRE(bind(net, second, {.strict = false}).ok());
  CHECK(net.own.values()[1] == 2.0F);
  CHECK(net.w.values()[kFloats - 1] == 4095.5F);
  CHECK(net.part.values()[0] == 2.5F);
}

TEST_CASE("tensors of every kind of data file are served from it") {
  for (const Data& data : {zip_data(), zip_data("a comment"), safetensors_data(), wmap_data()}) {
    CAPTURE(static_cast<int>(data.kind));
    const Pair pair(data);
    const auto file = WeightFile::open(pair.path);
    REQUIRE_MESSAGE(file.has_value(), file.error().message());
    CHECK((*file->find("own")->values<float>())[1] == 8.0F);
    CHECK((*file->find("w")->values<float>())[kFloats - 1] == 4095.5F);
    CHECK((*file->find("part")->values<float>())[0] == 2.5F);
    CHECK(file->find("w")->data() == file->data_file_mapping(1).data() + data.floats_begin);
    CHECK(file->find("own")->data() == file->mapping().data() + file->place(0).offset_bytes);
    CHECK(std::ranges::equal(file->data_file_mapping(1), tests::bytes_of(data.bytes)));
    CHECK(std::ranges::equal(file->data_file_mapping(0), file->mapping()));
    CHECK(file->segment(0).data_file == 0);
    CHECK(file->segment(1).data_file == 1);
    CHECK(file->place(2).offset_bytes == data.floats_begin + 8);
    CHECK(file->place(2).size_bytes == 12);
    REQUIRE(file->data_files().size() == 2);
    CHECK(file->data_files()[1].name == "data");
    CHECK(file->data_files()[1].problem.empty());
    Net net;
    REQUIRE(bind(net, *file).ok());
    CHECK(net.w.values()[1] == 1.5F);
  }
}

TEST_CASE("no byte of a data file's tensors is read by opening and binding") {
  const Pair pair(safetensors_data());
  const auto file = WeightFile::open(pair.path);
  REQUIRE(file);
  Net net;
  CHECK(bind(net, *file).ok());
  CHECK(tests::resident_bytes_of_mapping(pair.dir / "data") == 0);
  CHECK(net.w.values()[0] == 0.5F);
  CHECK(tests::resident_bytes_of_mapping(pair.dir / "data") > 0);
}

TEST_CASE("a module keeps the data files' mappings alive") {
  Net net;
  {
    const Pair pair(zip_data());
    REQUIRE(bind(net, *WeightFile::open(pair.path)).ok());
  }
  CHECK(net.w.values()[2] == 2.5F);
}

TEST_CASE("a missing data file is told with its name and what to do") {
  const Pair pair(zip_data());
  std::filesystem::remove(pair.dir / "data");
  expect_refusal(pair.path, ErrorCode::kNotFound, "is missing");
  expect_refusal(pair.path, ErrorCode::kNotFound, "put that file back");
}

TEST_CASE("a data file that is another one is refused") {
  for (const Data& data : {zip_data(), safetensors_data(), wmap_data()}) {
    CAPTURE(static_cast<int>(data.kind));
    const Pair pair(data);
    write_file(pair.dir / "data", data.bytes + "x");
    expect_refusal(pair.path, ErrorCode::kCorrupt, "bytes vs ");
    write_file(pair.dir / "data", data.bytes.substr(0, data.bytes.size() - 1));
    expect_refusal(pair.path, ErrorCode::kCorrupt, "bytes vs ");
    write_file(pair.dir / "data", std::string(data.bytes.size(), '\0'));
    expect_refusal(pair.path, ErrorCode::kCorrupt, "is not the file that the weight file was made");
  }
}

TEST_CASE("one other byte of the part that identifies a data file is refused") {
  struct Row {
    Data data;
    std::size_t begin = 0, end = 0;
  };
  const Data zip = zip_data("comment");
  const Data tensors = safetensors_data();
  const Data wmap = wmap_data();
  const std::vector<Row> rows{{zip, zip.bytes.rfind("PK\1\2"), zip.bytes.size()},
                              {tensors, 0, tensors.floats_begin},
                              {wmap, 128, 128 + 200}};
  for (const Row& row : rows) {
    const Pair pair(row.data);
    for (std::size_t at = row.begin; at < row.end; ++at) {
      CAPTURE(at);
      std::string changed = row.data.bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      write_file(pair.dir / "data", changed);
      const auto opened = WeightFile::open(pair.path);
      REQUIRE_FALSE(opened);
      CHECK(opened.error().code() == ErrorCode::kCorrupt);
    }
    write_file(pair.dir / "data", row.data.bytes);
    CHECK(WeightFile::open(pair.path).has_value());
  }
}

TEST_CASE("what is no regular file is refused without waiting for it") {
  const Pair pair(zip_data());
  const std::string data = pair.dir / "data";
  std::filesystem::remove(data);
  REQUIRE(::mkfifo(data.c_str(), 0600) == 0);
  expect_refusal(pair.path, ErrorCode::kCorrupt, "not a regular file");
  std::filesystem::remove(data);
  std::filesystem::create_directory(data);
  expect_refusal(pair.path, ErrorCode::kCorrupt, "a directory, not a regular file");
  std::filesystem::remove(data);
  std::filesystem::create_symlink("/dev/zero", data);
  expect_refusal(pair.path, ErrorCode::kCorrupt, "not a regular file");
  std::filesystem::remove(data);
  std::filesystem::create_symlink("nowhere", data);
  expect_refusal(pair.path, ErrorCode::kNotFound, "is missing");
}

TEST_CASE("a link to the right file is followed and one to another file is not") {
  const Pair pair(zip_data());
  std::filesystem::create_directory(pair.dir / "blobs");
  std::filesystem::rename(pair.dir / "data", pair.dir / "blobs/1");
  std::filesystem::create_symlink("blobs/1", pair.dir / "data");
  CHECK(WeightFile::open(pair.path).has_value());
  write_file(pair.dir / "blobs/2", safetensors_data().bytes);
  std::filesystem::remove(pair.dir / "data");
  std::filesystem::create_symlink("blobs/2", pair.dir / "data");
  expect_refusal(pair.path, ErrorCode::kCorrupt, "is not the file");
}

TEST_CASE("data files lie in the directory of the path that was opened") {
  const Pair pair(zip_data());
  std::filesystem::create_directory(pair.dir / "other");
  std::filesystem::create_symlink("../model.wmap", pair.dir / "other/model.wmap");
  CHECK_FALSE(WeightFile::open(pair.dir / "other/model.wmap"));
  std::filesystem::create_symlink("../data", pair.dir / "other/data");
  CHECK(WeightFile::open(pair.dir / "other/model.wmap").has_value());
}

TEST_CASE("a name that leads out of the directory breaks a rule") {
  const Data data = zip_data();
  for (const char* name : {"../data", "a/b", "", ".."}) {
    CAPTURE(name);
    const auto layout = format::lay_out(content_over(data, name));
    REQUIRE_FALSE(layout);
    CHECK(layout.error().message().find("R11") != std::string::npos);
  }
}

TEST_CASE("descriptors and memory have no directory to look in") {
  const Pair pair(zip_data());
  const int descriptor = ::open(pair.path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto by_descriptor = WeightFile::open_descriptor(descriptor, "fd");
  ::close(descriptor);
  REQUIRE_FALSE(by_descriptor);
  CHECK(by_descriptor.error().code() == ErrorCode::kUnsupported);
  CHECK(by_descriptor.error().message() ==
        "fd: data file `data`: lies beside the weight file, which was not opened by a path: open "
        "it by its path");
  const auto built =
      tests::build_file(content_over(zip_data(), "data"), {bytes_of(std::vector<float>{7, 8})},
                        {digest_of_text(floats())});
  CHECK(WeightFile::from_memory(built->bytes(), built).error().code() == ErrorCode::kUnsupported);
  const auto looked_at =
      WeightFile::from_memory(built->bytes(), built, "m", {.need_data_files = false});
  REQUIRE(looked_at);
  CHECK((*looked_at->find("own")->values<float>())[0] == 7.0F);
}

TEST_CASE("who only looks may open without the data files") {
  const Pair pair(zip_data());
  std::filesystem::remove(pair.dir / "data");
  const auto file = WeightFile::open(pair.path, {.need_data_files = false});
  REQUIRE(file);
  const TensorView w = *file->find("w");
  CHECK(w.is_absent());
  CHECK(w.data() == nullptr);
  CHECK(w.extent().empty());
  CHECK(w.values<float>().error().message() ==
        "tensor `w`: it lies in a data file that is not open");
  CHECK_FALSE(file->find("own")->is_absent());
  CHECK(file->place(1).size_bytes == kFloats * 4);
  CHECK(file->data_file_mapping(1).empty());
  CHECK(file->data_files()[1].problem.starts_with("data file `data`: is missing"));
  Net net;
  const LoadReport report = bind(net, *file);
  REQUIRE(report.mismatched().size() == 2);
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kValues);
  CHECK(report.mismatched()[0].text ==
        "values mismatch for w: the file's tensor lies in a data file that is not open.");
  const auto verified = file->verify();
  REQUIRE(verified);
  CHECK(verified->ok());
  CHECK(verified->segments_checked == 1);
  CHECK(verified->segments_absent == 1);
}

TEST_CASE("damage in a data file is told with the file and its tensors") {
  const Data data = safetensors_data();
  const Pair pair(data);
  const auto whole = WeightFile::open(pair.path)->verify();
  REQUIRE(whole);
  CHECK(whole->ok());
  CHECK(whole->segments_checked == 2);
  CHECK(whole->bytes_checked == 8 + kFloats * 4);
  std::string damaged = data.bytes;
  damaged[data.floats_begin + 100] ^= 1;
  write_file(pair.dir / "data", damaged);
  const auto file = WeightFile::open(pair.path);
  REQUIRE(file);
  const auto report = file->verify();
  REQUIRE(report);
  REQUIRE(report->damages.size() == 1);
  CHECK(report->damages[0].data_file == 1);
  CHECK(report->damages[0].begin_bytes == data.floats_begin);
  CHECK(report->damages[0].tensors == std::vector<std::string_view>{"w", "part"});
}

TEST_CASE("a data file that is cut short after it was opened is damage and not a signal") {
  const Data data = safetensors_data();
  const Pair pair(data);
  const auto file = WeightFile::open(pair.path);
  REQUIRE(file);
  REQUIRE(truncate((pair.dir / "data").c_str(), 4096) == 0);
  const auto report = file->verify();
  REQUIRE(report);
  REQUIRE(report->damages.size() == 1);
  CHECK(report->damages[0].what.find("cannot be read") != std::string::npos);
}

TEST_CASE("another process that opens the weight file shares the data file") {
  const Pair pair(zip_data());
  const auto file = WeightFile::open(pair.path);
  REQUIRE(file);
  const int status = tests::in_child([&] {
    const auto other = WeightFile::open(pair.path);
    return other && std::ranges::equal(other->data_file_mapping(1), file->data_file_mapping(1));
  });
  CHECK(tests::exited_well(status));
}

TEST_CASE("a slot says when the bytes of a data file do not lie where its elements can") {
  Data data = safetensors_data();
  data.bytes.insert(8, " ");
  ++data.bytes[0];
  ++data.floats_begin;
  data.identity = digest_of_text(std::string_view(data.bytes).substr(0, data.floats_begin));
  format::Content content = content_over(data, "data");
  content.data_files[0].alignment_bytes = 1;
  const auto built =
      tests::build_file(content, {bytes_of(std::vector<float>{7, 8})}, {digest_of_text(floats())});
  const TempDir dir;
  write_file(dir / "data", data.bytes);
  write_file(dir / "model.wmap", tests::text_of(built->bytes()));
  const auto file = WeightFile::open(dir / "model.wmap");
  REQUIRE(file);
  Net net;
  const LoadReport report = bind(net, *file);
  REQUIRE(report.mismatched().size() == 2);
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kAlignment);
  CHECK_FALSE(file->find("w")->values<float>());
  CHECK(file->find("w")->extent().size() == kFloats * 4);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
