// SPDX-License-Identifier: Apache-2.0
#include "weightmap/convert.h"

#include <algorithm>
#include <filesystem>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "weightmap/weight_file.h"

#include "format/index_view.h"
#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::converted;
using tests::expect_refusal;
using tests::read_file;
using tests::TempDir;
using tests::write_file;
using Strings = std::vector<std::string>;

std::string fixture(std::string_view name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/torch-2.13/" + std::string(name) + ".pt";
}

Strings names_of(const WeightFile& file) {
  Strings names;
  for (const TensorView tensor : file)
    names.emplace_back(tensor.name());
  return names;
}

TEST_SUITE_BEGIN("convert/convert");

TEST_CASE("a classifier's checkpoint becomes a file with its ties") {
  const TempDir dir;
  const WeightFile file = converted(WEIGHTMAP_TEST_DATA "/digits/digits.pt", dir / "digits.wmap");
  CHECK(file.tensor_count() == 20);
  CHECK(file.segment_count() == 18);
  CHECK(file.find("head.weight")->data() == file.find("fc.weight")->data());
  CHECK(file.module_version("bn1") == 2);
  CHECK(file.module_version("") == 1);
  CHECK(file.find("bn1.num_batches_tracked")->shape().empty());
}

TEST_CASE("bytes that differ from their CRC are reported, and refused where that is asked for") {
  struct Row {
    const char* damaged;
    Strings mismatches;
  };
  const TempDir dir;
  const std::string tensor_bytes("\0\0\x80\x3f\0\0\0\x40", 8);  // 1.0, 2.0
  const std::string good = read_file(fixture("bare_tensor"));
  const Row rows[] = {{"storage", {"storage 0"}}, {"pickle", {"bare_tensor/data.pkl"}}};
  for (const Row& row : rows) {
    CAPTURE(row.damaged);
    std::string bytes = good;
    const bool is_storage = row.mismatches[0] == "storage 0";
    // In the pickle: "cpu", the name of a device that nobody looks at.
    const std::size_t at = is_storage ? bytes.find(tensor_bytes) + 7 : bytes.find("cpu");
    REQUIRE(at < bytes.size());
    bytes[at] ^= '\1';
    write_file(dir / "damaged.pt", bytes);
    const auto report = convert_checkpoint(dir / "damaged.pt", dir / "damaged.wmap");
    REQUIRE(report);
    CHECK(report->crc_mismatches == row.mismatches);
    std::filesystem::remove(dir / "damaged.wmap");
    expect_refusal(
        convert_checkpoint(dir / "damaged.pt", dir / "damaged.wmap", {.verify_crc = true}),
        ErrorCode::kCorrupt, "damaged.pt: `" + row.mismatches[0] + "` differs from its CRC");
    CHECK_FALSE(std::filesystem::exists(dir / "damaged.wmap"));
  }
}

TEST_CASE("of a source of several files it is told in which of them the damage is, and of what") {
  struct Row {
    const char* source;
    const char* file;
    std::string bytes;  // in the damaged record
    const char* record;
  };
  const Row rows[] = {
      {"sharded_bin", "pytorch_model-00002-of-00002.bin", "\xa8\x0f\xed\x48\x16\x2b\xd2\x4b",
       "storage 0"},
      {"distributed", "__0_0.distcp", std::string("\0\0\x80\x3f\0\0\0\x40", 8),
       "storage model.weight/0"},
      {"distributed", "__0_0.distcp", "one process", "note/archive/data.pkl"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.record);
    const TempDir dir;
    std::filesystem::copy(WEIGHTMAP_TEST_DATA "/sources/" + std::string(row.source), dir.path(),
                          std::filesystem::copy_options::recursive);
    std::string bytes = read_file(dir / row.file);
    const std::size_t at = bytes.find(row.bytes);
    REQUIRE(at < bytes.size());
    bytes[at] ^= '\1';
    write_file(dir / row.file, bytes);
    const auto report = convert_checkpoint(dir.path(), dir / "damaged.wmap");
    REQUIRE(report);
    CHECK(report->crc_mismatches == Strings{std::string(row.file) + ": " + row.record});
    expect_refusal(convert_checkpoint(dir.path(), dir / "damaged.wmap", {.verify_crc = true}),
                   ErrorCode::kCorrupt,
                   (dir / row.file) + ": `" + row.record + "` differs from its CRC");
  }
}

TEST_CASE("a checkpoint with CRCs that match, or without any, is no damage") {
  const TempDir dir;
  for (const std::string& path :
       {fixture("training"), std::string(WEIGHTMAP_TEST_DATA) + "/checkpoints/containers/"
                                                                "zip_without_crcs.pt"}) {
    const auto report = convert_checkpoint(path, dir / "a.wmap", {.verify_crc = true});
    REQUIRE(report);
    CHECK(report->crc_mismatches.empty());
  }
}

TEST_CASE("deflated and big-endian checkpoints become the same bytes as plain ones") {
  const TempDir dir;
  const std::string containers = WEIGHTMAP_TEST_DATA "/checkpoints/containers/";
  const WeightFile big = converted(containers + "zip_big_endian.pt", dir / "big.wmap");
  const WeightFile little = converted(fixture("dtypes"), dir / "little.wmap");
  std::size_t compared = 0;
  for (const TensorView tensor : big) {
    const auto other = little.find(tensor.name());
    if (!other) continue;
    CHECK(std::ranges::equal(tensor.extent(), other->extent()));
    ++compared;
  }
  CHECK(compared == 12);
  converted(containers + "zip_deflated.pt", dir / "deflated.wmap");
}

TEST_CASE("the same checkpoint gives the same bytes, whatever it is called") {
  const TempDir dir;
  std::filesystem::copy(fixture("training"), dir / "other.pt");
  converted(fixture("training"), dir / "a.wmap");
  converted(dir / "other.pt", dir / "b.wmap");
  CHECK(read_file(dir / "a.wmap") == read_file(dir / "b.wmap"));
}

TEST_CASE("a root becomes the top") {
  const TempDir dir;
  const WeightFile whole = converted(fixture("training"), dir / "whole.wmap");
  const WeightFile model =
      converted(fixture("training"), dir / "model.wmap", {.checkpoint = {.root = "model"}});
  Strings expected;
  for (const std::string& name : names_of(whole)) {
    if (name.starts_with("model.")) expected.push_back(name.substr(6));
  }
  CHECK_FALSE(expected.empty());
  CHECK(names_of(model) == expected);
  CHECK(model.module_version(""));
  const auto values = model.values();
  REQUIRE(values);
  CHECK(values->node(values->root()).kind == ValueKind::kOrderedDict);
}

TEST_CASE("a root that is not there is refused with what there is") {
  const TempDir dir;
  const auto report =
      convert_checkpoint(fixture("training"), dir / "x.wmap", {.checkpoint = {.root = "modle"}});
  expect_refusal(report, ErrorCode::kInvalidArgument,
                 "there is no `modle` in it, its keys are `epoch`");
  CHECK(dir.names().empty());
}

TEST_CASE("every tensor lies at the asked alignment") {
  const TempDir dir;
  for (const std::uint32_t alignment : {64U, 4096U, 2U << 20U}) {
    const WeightFile file =
        converted(fixture("state_dict"), dir / "x.wmap", {.alignment_bytes = alignment});
    CHECK(file.alignment_bytes() == alignment);
    for (std::uint32_t i = 0; i < file.segment_count(); ++i) {
      CHECK(file.segment(i).offset_bytes % alignment == 0);
    }
  }
  for (const std::uint32_t alignment : {0U, 32U, 96U, 4U << 20U}) {
    expect_refusal(
        convert_checkpoint(fixture("state_dict"), dir / "y.wmap", {.alignment_bytes = alignment}),
        ErrorCode::kInvalidArgument, "power of two from 64 to 2097152");
  }
}

TEST_CASE("a weight file is replaced, anything else only when asked") {
  const TempDir dir;
  const std::string target = dir / "x.wmap";
  converted(fixture("ties"), target);
  converted(fixture("state_dict"), target);
  write_file(target, "precious");
  expect_refusal(convert_checkpoint(fixture("ties"), target), ErrorCode::kExists,
                 "not a weight file");
  CHECK(read_file(target) == "precious");
  converted(fixture("ties"), target, {.replace_any = true});
}

TEST_CASE("source and target may not be one file, whatever the path") {
  const TempDir dir;
  const std::string source = dir / "x.pt";
  std::filesystem::copy(fixture("ties"), source);
  std::filesystem::create_symlink(source, dir / "link.pt");
  std::filesystem::create_hard_link(source, dir / "hard.pt");
  for (const char* name : {"x.pt", "link.pt", "hard.pt"}) {
    expect_refusal(convert_checkpoint(source, dir / name, {.replace_any = true}),
                   ErrorCode::kInvalidArgument, "the same file");
  }
  CHECK(read_file(source) == read_file(fixture("ties")));
}

TEST_CASE(
    "stopping leaves the old target and nothing else, before the first byte and after the last") {
  const TempDir dir;
  const std::string target = dir / "x.wmap";
  converted(fixture("ties"), target);
  const std::string before = read_file(target);
  int all_calls = 0;
  std::uint64_t first_done = 1;
  std::uint64_t last_left = 1;
  converted(fixture("many"), dir / "other.wmap",
            {.progress = [&](std::uint64_t done, std::uint64_t total) {
              if (all_calls++ == 0) first_done = done;
              last_left = total - done;
              return true;
            }});
  CHECK(first_done == 0);
  CHECK(last_left == 0);
  for (const int last_call : {1, 3, all_calls}) {
    CAPTURE(last_call);
    int calls = 0;
    const auto report = convert_checkpoint(
        fixture("many"), target,
        {.progress = [&](std::uint64_t, std::uint64_t) { return ++calls < last_call; }});
    expect_refusal(report, ErrorCode::kCancelled, "cancelled");
    CHECK(calls == last_call);
    CHECK(read_file(target) == before);
    CHECK(dir.names() == Strings{"other.wmap", "x.wmap"});
  }
}

TEST_CASE("what cannot be converted is named, and leaves no file") {
  struct Row {
    const char* name;
    ErrorCode code;
    const char* text;
  };
  const std::vector<Row> rows{
      {"self_reference", ErrorCode::kUnsupported, "itself"},
      {"name_collision", ErrorCode::kUnsupported, "`a.b`"},
  };
  const TempDir dir;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string path =
        WEIGHTMAP_TEST_DATA "/checkpoints/unsupported/" + std::string(row.name) + ".pt";
    const auto report = convert_checkpoint(path, dir / "x.wmap");
    expect_refusal(report, row.code, row.text);
    CHECK(report.error().message().starts_with(path + ": "));
    CHECK(dir.names().empty());
  }
}

TEST_CASE("objects of unknown classes are kept and reported") {
  const TempDir dir;
  const auto report = convert_checkpoint(fixture("opaque"), dir / "x.wmap");
  REQUIRE(report);
  CHECK(report->opaque_classes == Strings{"builtins.slice"});  // argparse.Namespace is known
  expect_refusal(convert_checkpoint(fixture("opaque"), dir / "y.wmap",
                                    {.checkpoint = {.strict_globals = true}}),
                 ErrorCode::kUnsafe, "argparse");
}

TEST_CASE("what cannot be converted is not shown as if it could") {
  const auto content =
      read_checkpoint(WEIGHTMAP_TEST_DATA "/checkpoints/unsupported/name_collision.pt");
  REQUIRE_FALSE(content);
  CHECK(content.error().code() == ErrorCode::kUnsupported);
  CHECK(content.error().message().find("`a.b`") != std::string::npos);
}

TEST_CASE("a module that was saved whole has the names and bytes of its state_dict") {
  for (const std::string version : {"torch-1.13", "torch-2.13"}) {
    CAPTURE(version);
    const std::string base = WEIGHTMAP_TEST_DATA "/checkpoints/modules/" + version;
    const auto expected = nlohmann::json::parse(read_file(base + ".names.json"));
    const TempDir dir;
    const WeightFile file = converted(base + ".pt", dir / "x.wmap");
    REQUIRE(file.tensor_count() == expected.size() + 3);
    for (std::uint32_t i = 0; i < expected.size(); ++i) {
      const TensorView tensor = file.tensor(i);
      CHECK(tensor.name() == "model." + expected[i].at("name").get<std::string>());
      CHECK(tensor.is_parameter() == (expected[i].at("kind") == "parameter"));
      CHECK(tensor.is_buffer() == (expected[i].at("kind") == "buffer"));
      std::string digits;
      for (const std::byte byte : tensor.extent())
        digits += {"0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4U],
                   "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15U]};
      CHECK(digits == expected[i].at("bytes").get<std::string>());
    }
    Strings rest = names_of(file);
    rest.erase(rest.begin(), rest.end() - 3);
    CHECK(rest == Strings{"model.__state__.note", "model.__state__.notes.later.0",
                          "model.__state__._buffers.cache"});
    // The embedding and the layer that is tied to it; the body under its two names.
    CHECK(file.find("model.1.weight")->data() == file.find("model.2.weight")->data());
    CHECK(file.find("model.0.0.weight")->data() == file.find("model.again.0.weight")->data());
    const WeightFile below =
        converted(base + ".pt", dir / "y.wmap", {.checkpoint = {.root = "model"}});
    CHECK(below.name(0) == "scale");
  }
}

TEST_CASE("every class that a checkpoint names is listed with what PyTorch does about it") {
  const auto found = list_globals(fixture("opaque"));
  REQUIRE(found);
  CHECK(found->source_kind == "zip checkpoint");
  Strings loaded;
  Strings refused;
  for (const NamedGlobal& global : found->globals) {
    CHECK(global.verdict != GlobalVerdict::kAttack);
    (global.verdict == GlobalVerdict::kLoaded ? loaded : refused).push_back(global.name);
  }
  // pickletools.genops of Python, and torch.load(weights_only=True) of 2.13, say so.
  CHECK(loaded == Strings{"_codecs.encode", "collections.Counter", "collections.OrderedDict",
                          "torch.FloatStorage", "torch._utils._rebuild_tensor_v2"});
  CHECK(refused == Strings{"__builtin__.list", "__builtin__.slice", "argparse.Namespace",
                           "collections.defaultdict", "datetime.datetime",
                           "pathlib.PurePosixPath"});
  const auto missing = list_globals("/nowhere/model.pt");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == ErrorCode::kNotFound);
}

TEST_CASE("a checkpoint can be looked at without converting it") {
  const auto content = read_checkpoint(fixture("views"));
  REQUIRE(content);
  const TempDir dir;
  const WeightFile file = converted(fixture("views"), dir / "x.wmap");
  REQUIRE(content->tensors.size() == file.tensor_count());
  const std::string source = read_file(fixture("views"));
  for (std::uint32_t i = 0; i < file.tensor_count(); ++i) {
    const CheckpointTensor& tensor = content->tensors[i];
    CAPTURE(tensor.name);
    CHECK(tensor.name == file.name(i));
    CHECK(tensor.dtype == file.tensor(i).dtype());
    CHECK(std::ranges::equal(tensor.shape, file.tensor(i).shape()));
    CHECK(std::ranges::equal(tensor.strides, file.tensor(i).strides()));
    const auto extent = file.tensor(i).extent();
    CHECK(source.substr(tensor.offset_bytes, extent.size()) == tests::text_of(extent));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
