// SPDX-License-Identifier: Apache-2.0
// Where a state dict is saved to, and what is refused. Every system call that can fail does so in
// tests/convert/target_faults_test.cpp.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/save.h"

#include "base/hash.h"
#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::read_file;
using tests::TempDir;
using tests::write_file;
using Floats = std::vector<float>;
using Strings = std::vector<std::string>;

StateTensor floats(const Floats& values) {
  return StateTensor::copy_of<float>({static_cast<std::int64_t>(values.size())}, values);
}

StateDict sample(float first = 1) {
  StateDict state_dict;
  state_dict.set("weight", floats({first, 2, 3}));
  state_dict.set("bias", floats({4}));
  return state_dict;
}

struct Net : Module {
  Parameter<float> weight{*this, "weight", {3}};
  Parameter<float> bias{*this, "bias", {1}};
};

std::string refusal(const StateDict& state_dict,
                    const std::string& target,
                    ErrorCode code,
                    const SaveOptions& options = {}) {
  const auto report = save(state_dict, target, options);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == code);
  REQUIRE(report.error().message().starts_with(target + ": "));
  return report.error().message().substr(target.size() + 2);
}

TEST_SUITE_BEGIN("runtime/save_targets");

TEST_CASE("a module may be saved over the very file that it is bound to") {
  const TempDir dir;
  const std::string path = dir / "net.wmap";
  REQUIRE(save(sample(), path));
  Net net;
  REQUIRE(bind(net, *WeightFile::open(path)).ok());
  REQUIRE(save(net, path));
  const std::string before = read_file(path);
  CHECK(net.weight[0] == 1);
  REQUIRE(bind(net, *WeightFile::open(path)).ok());
  REQUIRE(save(net, path));
  CHECK(read_file(path) == before);
  net.bias.allocate();
  REQUIRE(save(net, path));
  CHECK(net.weight[2] == 3);
  const auto file = WeightFile::open(path);
  REQUIRE(file);
  CHECK(file->find("bias")->values<float>().value()[0] == 0);
  CHECK(file->find("weight")->values<float>().value()[2] == 3);
  CHECK(dir.names() == Strings{"net.wmap"});
}

TEST_CASE("a weight file is replaced, anything else only when that is asked for") {
  const TempDir dir;
  const std::string path = dir / "target";
  write_file(path, "someone's notes");
  CHECK(refusal(sample(), path, ErrorCode::kExists) ==
        "exists and is of a kind that is not known, not a weight file");
  CHECK(read_file(path) == "someone's notes");
  REQUIRE(save(sample(), path, {.replace_any = true}));
  REQUIRE(save(sample(5), path));
  CHECK(WeightFile::open(path)->find("weight")->values<float>().value()[0] == 5);
  CHECK(dir.names() == Strings{"target"});
}

TEST_CASE("a target that cannot be is told by its path, and nothing is made") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "directory");
  std::filesystem::create_symlink(dir / "gone", dir / "link");
  CHECK(refusal(sample(), dir / "directory", ErrorCode::kInvalidArgument, {.replace_any = true}) ==
        "is a directory, not a regular file");
  CHECK(refusal(sample(), dir / "nowhere/a.wmap", ErrorCode::kNotFound) ==
        "cannot open its directory: no such file or directory");
  CHECK(refusal(sample(), dir / "link", ErrorCode::kNotFound) ==
        "is a link to what does not exist");
  CHECK(dir.names() == Strings{"directory", "link"});
}

TEST_CASE("segments stand at multiples of the alignment") {
  const TempDir dir;
  for (const std::uint32_t alignment : {64U, 4096U, 2U << 20U}) {
    REQUIRE(save(sample(), dir / "a.wmap", {.alignment_bytes = alignment}));
    const auto file = WeightFile::open(dir / "a.wmap");
    REQUIRE(file);
    CHECK(file->alignment_bytes() == alignment);
    for (std::uint32_t i = 0; i < file->segment_count(); ++i)
      CHECK(file->segment(i).offset_bytes % alignment == 0);
  }
  for (const std::uint32_t wrong : {0U, 32U, 96U, 4U << 20U}) {
    CAPTURE(wrong);
    CHECK(refusal(sample(), dir / "b.wmap", ErrorCode::kInvalidArgument,
                  {.alignment_bytes = wrong}) ==
          "an alignment is a power of two from 64 to 2097152, not " + std::to_string(wrong));
  }
  CHECK(dir.names() == Strings{"a.wmap"});
}

TEST_CASE("waiting for the disk or not makes no difference to the file, the producer does") {
  const TempDir dir;
  REQUIRE(save(sample(), dir / "a.wmap"));
  REQUIRE(save(sample(), dir / "b.wmap", {.sync = false}));
  CHECK(read_file(dir / "a.wmap") == read_file(dir / "b.wmap"));
  REQUIRE(save(sample(), dir / "c.wmap", {.producer = "a test"}));
  CHECK(read_file(dir / "c.wmap").find("a test") != std::string::npos);
}

TEST_CASE("progress is told from nothing to all, and may end the work at any time") {
  const TempDir dir;
  const std::string path = dir / "net.wmap";
  REQUIRE(save(sample(), path));
  const std::string before = read_file(path);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> calls;
  const auto note = [&](std::uint64_t done, std::uint64_t total) {
    calls.emplace_back(done, total);
    return true;
  };
  REQUIRE(save(sample(9), dir / "whole.wmap", {.progress = note}));
  CHECK(calls.front() == std::pair<std::uint64_t, std::uint64_t>{0, 16});
  CHECK(calls.back() == std::pair<std::uint64_t, std::uint64_t>{16, 16});
  std::filesystem::remove(dir / "whole.wmap");
  for (std::size_t last = 0; last < calls.size(); ++last) {
    CAPTURE(last);
    std::size_t number = 0;
    const auto stop = [&](std::uint64_t, std::uint64_t) { return number++ < last; };
    CHECK(refusal(sample(9), path, ErrorCode::kCancelled, {.progress = stop}) == "cancelled");
    CHECK(read_file(path) == before);
    CHECK(dir.names() == Strings{"net.wmap"});
  }
}

TEST_CASE("a tensor whose bytes are not there is refused by its key") {
  const TempDir dir;
  StateDict state_dict = sample();
  state_dict.set("fc.weight", StateTensor::over({.shape = {2}}, nullptr, nullptr));
  CHECK(refusal(state_dict, dir / "a.wmap", ErrorCode::kInvalidArgument) ==
        "tensor `fc.weight`: has no bytes, and is not marked as meta");
  CHECK(dir.names().empty());
}

TEST_CASE("a tensor in a data file that is gone is refused by its key") {
  format::Content content;
  content.tensors = {tests::tensor_in(0, "w", {2})};
  content.data_files = {{.name = "data",
                         .size_bytes = 100,
                         .alignment_bytes = 4,
                         .identity = digest_of(tests::bytes_of("its directory")),
                         .segments = {{.offset_bytes = 40, .size_bytes = 8}},
                         .has_digests = false}};
  const TempDir dir;
  const auto built = tests::build_file(content, {}, {Digest{}});
  write_file(dir / "net.wmap", tests::text_of(built->bytes()));
  const auto file = WeightFile::open(dir / "net.wmap", {.need_data_files = false});
  INFO((file ? "" : file.error().message()));
  REQUIRE(file);
  CHECK(refusal(file->state_dict().value(), dir / "a.wmap", ErrorCode::kInvalidArgument) ==
        "tensor `w`: lies in a data file that is not open");
  CHECK(dir.names() == Strings{"net.wmap"});
}

// A list that holds a tensor, which is called `a.0` below the key `a`.
StateValue list_of(const StateTensor& tensor) {
  ValueGraph graph;
  const std::uint32_t node = graph.add_number(ValueKind::kTensor, 0);
  graph.add_parent(ValueKind::kList, {&node, 1});
  return StateValue(graph, {tensor});
}

TEST_CASE("names that a weight file cannot have are refused") {
  const TempDir dir;
  StateDict twice = sample();
  twice.set("a.0", floats({1}));
  twice.set("a", list_of(floats({2})));
  CHECK(refusal(twice, dir / "a.wmap", ErrorCode::kUnsupported).find("`a.0`") != std::string::npos);
  for (const std::string key : {"", "\xFF", "half of it: \xC3"}) {
    CAPTURE(key);
    StateDict odd;
    odd.set(key, floats({1}));
    CHECK(refusal(odd, dir / "a.wmap", ErrorCode::kUnsupported).starts_with("R13: "));
  }
  CHECK(dir.names().empty());
}

TEST_CASE("a module with a wrong registration is not saved") {
  const TempDir dir;
  Net net;
  net.register_module("weight", nullptr);
  const auto report = save(net, dir / "a.wmap");
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::kInvalidArgument);
  CHECK(report.error().message() ==
        (dir / "a.wmap") + ": module `` (Net): attribute 'weight' already exists");
  struct Parent : Module {
    explicit Parent(Module& child) { register_module("net", child); }
  } parent(net);
  const auto below = save(parent, dir / "a.wmap");
  REQUIRE_FALSE(below);
  CHECK(
      below.error().message().ends_with(": module `net` (Net): attribute 'weight' already exists"));
  CHECK(dir.names().empty());
}

TEST_CASE("nothing at all is a state dict, too") {
  const TempDir dir;
  const auto report = save(StateDict(), dir / "a.wmap");
  REQUIRE(report);
  CHECK(report->tensor_count == 0);
  CHECK(WeightFile::open(dir / "a.wmap")->state_dict()->empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
