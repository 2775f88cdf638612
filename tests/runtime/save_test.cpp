// SPDX-License-Identifier: Apache-2.0
// What is saved is what is there again when it is opened. What PyTorch sees in it is held in
// tests/torch/save_test.py; what becomes of targets, in save_targets_test.cpp.
#include "weightmap/save.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"

#include "format/index_view.h"
#include "support/file_bytes.h"
#include "support/reported.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::read_file;
using tests::TempDir;
using Floats = std::vector<float>;

// Memory that several tensors lie in.
struct Memory {
  std::shared_ptr<Floats> floats = std::make_shared<Floats>(1000);
  Memory() {
    for (std::size_t i = 0; i < floats->size(); ++i)
      (*floats)[i] = static_cast<float>(i);
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(*floats)); }
  StateTensor view(std::size_t at, StateTensor::Facts facts) const {
    return StateTensor::over(std::move(facts), bytes().data() + 4 * at, floats, bytes());
  }
};

WeightFile saved(const StateDict& state_dict,
                 const std::string& path,
                 const SaveOptions& options = {}) {
  return tests::open_reported(path, save(state_dict, path, options));
}

Floats values_of(const WeightFile& file, std::string_view name) {
  const auto found = file.find(name);
  REQUIRE(found);
  const auto values = found->values<float>();
  REQUIRE(values);
  return {values->begin(), values->end()};
}

std::ptrdiff_t distance(const WeightFile& file, std::string_view from, std::string_view to) {
  return file.find(to)->data() - file.find(from)->data();
}

StateTensor floats(const Floats& values) {
  return StateTensor::copy_of<float>({static_cast<std::int64_t>(values.size())}, values);
}

TEST_SUITE_BEGIN("runtime/save");

TEST_CASE("ties, views and their distances come back, and of the storage what they reach") {
  const TempDir dir;
  const Memory memory;
  StateDict state_dict;
  state_dict.set("row", memory.view(100, {.shape = {4}}));
  state_dict.set("tie", *state_dict.find("row"));
  state_dict.set("turned",
                 memory.view(98, {.shape = {2, 3}, .strides = std::vector<std::int64_t>{1, 2}}));
  state_dict.set("alone", floats({7}));
  const auto report = save(state_dict, dir / "a.wmap");
  REQUIRE(report);
  CHECK(report->tensor_count == 4);
  CHECK(report->segment_count == 2);
  CHECK(report->data_bytes == 4 * (6 + 1));  // 98 to 103, and the other
  const WeightFile file = saved(state_dict, dir / "a.wmap");
  CHECK(distance(file, "row", "tie") == 0);
  CHECK(distance(file, "turned", "row") == 8);
  CHECK(values_of(file, "row") == Floats{100, 101, 102, 103});
  CHECK(file.find("turned")->strides()[1] == 2);
  CHECK(values_of(file, "alone") == Floats{7});
}

TEST_CASE("storages that overlap share a segment, those that touch do not") {
  const TempDir dir;
  const Memory memory;
  const auto alone = [&](std::size_t at, std::int64_t count) {
    return StateTensor::over({.shape = {count}}, memory.bytes().data() + 4 * at, memory.floats);
  };
  StateDict state_dict;
  state_dict.set("middle", alone(12, 4));
  state_dict.set("first", alone(10, 4));
  state_dict.set("touches", alone(16, 2));
  const WeightFile file = saved(state_dict, dir / "a.wmap");
  CHECK(file.segment_count() == 2);
  CHECK(distance(file, "first", "middle") == 8);
  CHECK(file.place(*file.find_number("touches")).segment == 1);
  CHECK(values_of(file, "touches") == Floats{16, 17});
}

TEST_CASE("elements of any size stand at multiples of it, whatever the address in memory") {
  const TempDir dir;
  const Memory memory;
  for (const std::size_t at : {8U, 9U, 10U, 11U}) {
    CAPTURE(at);
    StateDict state_dict;
    state_dict.set("bytes", memory.view(at, {.dtype = Dtype::kUInt8, .shape = {20}}));
    state_dict.set("doubles", memory.view(at + 3, {.dtype = Dtype::kFloat64, .shape = {1}}));
    const WeightFile file = saved(state_dict, dir / "a.wmap");
    CHECK(file.segment_count() == 1);
    CHECK(distance(file, "bytes", "doubles") == 12);
    CHECK(file.place(*file.find_number("doubles")).offset_bytes % 8 == 0);
  }
}

TEST_CASE("dtypes, shapes and flags come back, and tensors without elements or values") {
  const TempDir dir;
  const Memory memory;
  StateDict state_dict;
  constexpr std::uint16_t kTrained = format::kParameter | format::kRequiresGrad;
  state_dict.set("parameter", memory.view(0, {.shape = {1, 2}, .flags = kTrained}));
  state_dict.set("conj",
                 memory.view(4, {.dtype = Dtype::kComplex64, .shape = {}, .flags = format::kConj}));
  state_dict.set("neg", memory.view(8, {.shape = {2}, .flags = format::kNeg}));
  state_dict.set("empty", floats({}));
  state_dict.set("end", memory.view(1000, {.shape = {0, 3}}));
  state_dict.set("meta",
                 StateTensor::over({.dtype = Dtype::kFloat16, .shape = {3}, .flags = format::kMeta},
                                   nullptr, nullptr));
  state_dict.set("lazy", StateTensor::over({.flags = format::kUninitialized}, nullptr, nullptr));
  const WeightFile file = saved(state_dict, dir / "a.wmap");
  CHECK(file.find("parameter")->flags() == kTrained);
  CHECK(file.find("conj")->is_conj());
  CHECK(file.find("conj")->dtype() == Dtype::kComplex64);
  CHECK(file.find("neg")->is_neg());
  CHECK(file.find("empty")->element_count() == 0);
  CHECK(file.find("end")->shape()[1] == 3);
  CHECK(file.find("meta")->is_meta());
  CHECK(file.find("meta")->dtype() == Dtype::kFloat16);
  CHECK(file.find("lazy")->is_uninitialized());
  CHECK(file.state_dict()->size() == 7);
}

TEST_CASE("metadata and values come back, in their order") {
  const TempDir dir;
  StateDict state_dict;
  state_dict.set("weight", floats({1}));
  state_dict.set("_extra_state", StateValue::of_text("note"));
  state_dict.set("epoch", StateValue::of_integer(-7));
  state_dict.metadata().set("", {.version = 2, .values = {}});
  ModuleMetadata noted;
  noted.values.set("spectral_norm", StateValue::of_real(0.25));
  state_dict.metadata().set("layers.0", noted);
  const WeightFile file = saved(state_dict, dir / "a.wmap");
  CHECK(file.module_version("") == 2);
  CHECK_FALSE(file.module_version("layers.0"));
  const StateDict again = file.state_dict().value();
  std::string names;
  for (const auto& [name, item] : again)
    names += name + " ";
  CHECK(names == "weight _extra_state epoch ");
  CHECK(again.find("_extra_state")->value()->text() == "note");
  CHECK(again.find("epoch")->value()->integer() == -7);
  CHECK(again.metadata().find("")->version == 2);
  const ModuleMetadata* const layer = again.metadata().find("layers.0");
  REQUIRE(layer != nullptr);
  CHECK_FALSE(layer->version);
  CHECK(layer->values.find("spectral_norm")->real() == 0.25);
}

StateValue pair_of(bool first_number_first) {
  ValueGraph graph;
  std::uint32_t children[2];
  children[first_number_first ? 0 : 1] =
      graph.add_number(ValueKind::kInt, first_number_first ? 1 : 2);
  children[first_number_first ? 1 : 0] =
      graph.add_number(ValueKind::kInt, first_number_first ? 2 : 1);
  graph.add_parent(ValueKind::kTuple, children);
  return StateValue(graph);
}

TEST_CASE("the same content gives the same bytes, wherever it lies and however it was made") {
  const TempDir dir;
  const Memory memory;
  StateDict first;
  first.set("a", memory.view(5, {.shape = {3}}));
  first.set("b", memory.view(7, {.shape = {2}}));
  first.set("pair", pair_of(true));
  first.set("one", StateValue::of_integer(1));
  first.metadata().set("", {.version = 1, .values = {}});
  StateDict second;
  const Floats copy{5, 6, 7, 8};
  const auto* const data = reinterpret_cast<const std::byte*>(copy.data());
  const auto storage = std::as_bytes(std::span(copy));
  second.set("a", StateTensor::over({.shape = {3}}, data, nullptr, storage));
  second.set("b", StateTensor::over({.shape = {2}}, data + 8, nullptr, storage));
  second.set("pair", pair_of(false));
  second.set("one", StateValue::of_integer(1));
  second.metadata().set("", {.version = 1, .values = {}});
  saved(first, dir / "a.wmap");
  saved(second, dir / "b.wmap");
  CHECK(read_file(dir / "a.wmap") == read_file(dir / "b.wmap"));
  saved(WeightFile::open(dir / "a.wmap")->state_dict().value(), dir / "c.wmap");
  CHECK(read_file(dir / "a.wmap") == read_file(dir / "c.wmap"));
}

TEST_CASE("composites of a file come back with their parts, from several files into one") {
  const TempDir dir;
  const auto file = WeightFile::open(WEIGHTMAP_TEST_DATA "/composites.wmap");
  REQUIRE(file);
  const StateDict all = file->state_dict().value();
  StateDict state_dict;
  state_dict.set("again.q", *all.find("q"));
  state_dict.set("channels", *all.find("channels"));
  const WeightFile first = saved(state_dict, dir / "a.wmap");
  CHECK(first.composite_count() == 2);
  CHECK(first.tensor_count() == 4);
  StateDict both = first.state_dict().value();
  both.set("coo", *all.find("coo"));
  const WeightFile second = saved(both, dir / "b.wmap");
  CHECK(second.composite_count() == 3);
  const auto channels = second.find_composite("channels");
  REQUIRE(channels);
  CHECK(channels->kind() == file->find_composite("channels")->kind());
  const TensorView scales = *second.find("channels.scales");
  const TensorView original = *file->find("channels.scales");
  CHECK(std::memcmp(scales.data(), original.data(), original.extent().size()) == 0);
  CHECK(scales.is_part());
}

TEST_CASE("a module is saved as its state dict") {
  struct Net : Module {
    Parameter<float> weight{*this, "weight", {2}};
    Buffer<float> mean{*this, "mean", {2}};
    Buffer<float> scratch{*this, "scratch", {2}, Persistent::kNo};
  } net;
  const TempDir dir;
  net.weight.allocate();
  net.mean.allocate();
  net.weight.mutable_values()[1] = 2;
  REQUIRE(save(net, dir / "a.wmap"));
  saved(net.state_dict(), dir / "b.wmap");
  CHECK(read_file(dir / "a.wmap") == read_file(dir / "b.wmap"));
  REQUIRE(save(net, dir / "c.wmap", {.keep_vars = true}));
  const auto kept = WeightFile::open(dir / "c.wmap");
  REQUIRE(kept);
  CHECK(kept->find("weight")->is_parameter());
  CHECK(kept->find("mean")->is_buffer());
  CHECK_FALSE(kept->find("scratch"));
  Net again;
  REQUIRE(bind(again, *kept).ok());
  CHECK(again.weight[1] == 2);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
