// SPDX-License-Identifier: Apache-2.0
// What a state dict is made of, and what it keeps alive. How a module fills one is held against
// PyTorch in tests/modules, what a file's holds in tests/torch/save_test.py.
#include "weightmap/state_dict.h"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/save.h"

#include "format/index_view.h"
#include "support/built_file.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::tensor_in;
using Floats = std::vector<float>;
using Strings = std::vector<std::string>;

struct Linear : Module {
  using Module::Module;
  Parameter<float> weight{*this, "weight", {2, 2}};
  Parameter<float> bias{*this, "bias", {2}};
  void fill(float value) {
    weight.allocate();
    bias.allocate();
    bias.mutable_values()[0] = value;
  }
};

struct Net : Module {
  Buffer<std::int64_t> count{*this, "count", {}};
  Buffer<float> scratch{*this, "scratch", {2}, Persistent::kNo};
  Parameter<float> scale{*this, "scale", {2}};
  Linear fc{*this, "fc"};
  Net() {
    register_module("head", fc);
    register_module("none", nullptr);
    register_parameter("bias", nullptr);
  }
  std::int64_t version() const override { return 2; }
};

template <typename V>
Strings keys(const OrderedMap<V>& map) {
  Strings found;
  for (const auto& [name, value] : map)
    found.push_back(name);
  return found;
}

const StateTensor& tensor(const StateDict& state_dict, std::string_view key) {
  const StateItem* const item = state_dict.find(key);
  REQUIRE(item != nullptr);
  REQUIRE(item->tensor() != nullptr);
  return *item->tensor();
}

Floats values_of(const StateTensor& of) {
  const auto values = of.view().values<float>();
  REQUIRE(values);
  return {values->begin(), values->end()};
}

StateTensor floats(const Floats& values) {
  return StateTensor::copy_of<float>({static_cast<std::int64_t>(values.size())}, values);
}

TEST_SUITE_BEGIN("runtime/state_dict");

TEST_CASE("a module's parameters come first, then its persistent buffers, then its children") {
  Net net;
  const StateDict state_dict = net.state_dict();
  CHECK(keys(state_dict) ==
        Strings{"scale", "count", "fc.weight", "fc.bias", "head.weight", "head.bias"});
  CHECK(keys(state_dict.metadata()) == Strings{"", "fc", "head"});
  CHECK(state_dict.metadata().find("")->version == 2);
  CHECK(state_dict.metadata().find("head")->version == 1);
  CHECK(state_dict.metadata().find("fc")->values.empty());
}

TEST_CASE("a prefix stands before keys and paths, which are cut by one as PyTorch does") {
  Net net;
  const StateDict dotted = net.state_dict({.prefix = "model."});
  CHECK(keys(dotted)[2] == "model.fc.weight");
  CHECK(keys(dotted.metadata()) == Strings{"model", "model.fc", "model.head"});
  const StateDict bare = net.state_dict({.prefix = "x"});
  CHECK(keys(bare)[2] == "xfc.weight");
  CHECK(keys(bare.metadata()) == Strings{"", "xfc", "xhead"});
}

TEST_CASE("what a destination has stays, in its place") {
  StateDict destination;
  destination.set("epoch", StateValue::of_integer(3));
  destination.set("fc.bias", floats({1}));
  destination.metadata().set("other", {.version = 7, .values = {}});
  Net net;
  net.state_dict(destination);
  CHECK(keys(destination) ==
        Strings{"epoch", "fc.bias", "scale", "count", "fc.weight", "head.weight", "head.bias"});
  CHECK(tensor(destination, "fc.bias").view().shape()[0] == 2);
  CHECK(keys(destination.metadata()) == Strings{"other", "", "fc", "head"});
}

TEST_CASE("bytes are the slots' own: writing shows, ties are one") {
  Net net;
  net.fc.fill(1);
  const StateDict state_dict = net.state_dict();
  const StateDict copy = state_dict;
  const StateTensor& bias = tensor(state_dict, "fc.bias");
  CHECK(bias.view().data() == net.fc.bias.bytes());
  net.fc.bias.mutable_values()[0] = 5;
  CHECK(values_of(bias) == Floats{5, 0});
  CHECK(tensor(copy, "head.bias").view().data() == bias.view().data());
  CHECK(tensor(copy, "head.bias").storage().data() == bias.storage().data());
  CHECK(bias.storage().size() == 8);
  CHECK(bias.origin().empty());
}

TEST_CASE("tensors are plain, unless parameters are to stay parameters") {
  Net net;
  Slot frozen({.shape = {1}, .requires_grad = false});
  net.register_parameter("frozen", frozen);
  net.fc.fill(0);
  net.count.allocate();
  frozen.allocate();
  for (const auto& [name, item] : net.state_dict())
    CHECK((item.tensor()->view().flags() & ~format::kMeta) == 0);
  const StateDict kept = net.state_dict({.keep_vars = true});
  CHECK(tensor(kept, "fc.bias").view().flags() == (format::kParameter | format::kRequiresGrad));
  CHECK(tensor(kept, "frozen").view().flags() == format::kParameter);
  CHECK(tensor(kept, "count").view().flags() == format::kBuffer);
  CHECK(tensor(kept, "scale").view().is_meta());
}

TEST_CASE("a slot without bytes is a meta tensor, which has its shape") {
  Net net;
  const StateDict state_dict = net.state_dict();
  const TensorView& view = tensor(state_dict, "fc.weight").view();
  CHECK(view.is_meta());
  CHECK(view.data() == nullptr);
  CHECK(view.is_contiguous());
  CHECK(view.element_count() == 4);
  CHECK(tensor(state_dict, "fc.weight").storage().empty());
}

TEST_CASE("a state dict outlives the module whose memory it shows") {
  StateDict state_dict;
  {
    Net net;
    net.fc.fill(3);
    state_dict = net.state_dict();
  }
  CHECK(values_of(tensor(state_dict, "head.bias")) == Floats{3, 0});
}

TEST_CASE("a state dict keeps the memory of its tensors only") {
  auto memory = std::make_shared<Floats>(4, 2.0F);
  const std::weak_ptr<Floats> alive = memory;
  StateDict state_dict;
  {
    Net net;
    net.fc.fill(3);
    StateDict given;
    const auto* const data = reinterpret_cast<const std::byte*>(memory->data());
    given.set("fc.weight", StateTensor::over({.shape = {2, 2}}, data, std::move(memory)));
    REQUIRE(net.load_state_dict(given, {.strict = false, .assign = true}).ok());
    state_dict = net.state_dict();
  }
  state_dict.erase("fc.weight");
  CHECK(values_of(tensor(state_dict, "head.weight")) == Floats{2, 2, 2, 2});
  state_dict.erase("head.weight");
  CHECK(alive.expired());
  CHECK(values_of(tensor(state_dict, "fc.bias")) == Floats{3, 0});
}

TEST_CASE(
    "a state dict keeps the file open whose bytes it shows, when that is gone from the disk") {
  const tests::TempDir dir;
  const std::string path = dir / "net.wmap";
  StateDict given;
  given.set("weight", StateTensor::copy_of<float>({2, 2}, Floats{1, 2, 3, 4}));
  given.set("bias", floats({5, 6}));
  REQUIRE(save(given, path));
  StateDict of_module;
  StateDict of_file;
  {
    Linear layer;
    const auto file = WeightFile::open(path);
    REQUIRE(file);
    REQUIRE(bind(layer, *file).ok());
    of_module = layer.state_dict();
    of_file = file->state_dict().value();
  }
  given.set("bias", floats({-5, -6}));
  REQUIRE(save(given, path));
  std::filesystem::remove(path);
  for (const StateDict* const state_dict : {&of_module, &of_file}) {
    CHECK(values_of(tensor(*state_dict, "bias")) == Floats{5, 6});
    CHECK(values_of(tensor(*state_dict, "weight")) == Floats{1, 2, 3, 4});
  }
  CHECK(tensor(of_file, "bias").origin() == path);
  CHECK(tensor(of_file, "bias").view().data() == tensor(of_module, "bias").view().data());
}

TEST_CASE("a tensor over the caller's bytes has their strides, storage and owner") {
  auto bytes = std::make_shared<Floats>(Floats{1, 2, 3, 4, 5, 6});
  const std::weak_ptr<Floats> alive = bytes;
  const auto storage = std::as_bytes(std::span(*bytes));
  std::optional<StateTensor> turned = StateTensor::over(
      {.shape = {2, 2}, .strides = std::vector<std::int64_t>{1, 2}, .flags = format::kBuffer},
      storage.data() + 4, bytes, storage);
  bytes.reset();
  CHECK(turned->storage().data() == storage.data());
  CHECK(turned->storage().size() == 24);
  CHECK_FALSE(turned->view().is_contiguous());
  CHECK(turned->view().is_buffer());
  const StateTensor plain = turned->with_flags(0);
  turned.reset();
  CHECK_FALSE(alive.expired());
  CHECK_FALSE(plain.view().is_buffer());
  CHECK(plain.view().data() == storage.data() + 4);
  CHECK(plain.view().strides()[1] == 2);
}

TEST_CASE("a tensor without a storage of its own is that of its bytes, and a copy is its own") {
  Floats values{1, 2, 3};
  const auto* const data = reinterpret_cast<const std::byte*>(values.data());
  const StateTensor over = StateTensor::over({.shape = {3}}, data, nullptr);
  CHECK(over.storage().data() == data);
  CHECK(over.storage().size() == 12);
  const StateTensor copy = floats(values);
  values[0] = 9;
  CHECK(values_of(over) == Floats{9, 2, 3});
  CHECK(values_of(copy) == Floats{1, 2, 3});
  const StateTensor empty = floats({});
  CHECK(empty.view().element_count() == 0);
  CHECK(empty.view().shape()[0] == 0);
}

TEST_CASE("a value is a number or a text where it is one, as Python sees it") {
  CHECK(StateValue::of_integer(-3).integer() == -3);
  CHECK(StateValue::of_integer(-3).real() == -3.0);
  CHECK(StateValue::of_integer(-3).class_name() == "int");
  CHECK(StateValue::of_bool(true).integer() == 1);
  CHECK(StateValue::of_bool(true).class_name() == "bool");
  CHECK(StateValue::of_real(0.5).real() == 0.5);
  CHECK_FALSE(StateValue::of_real(0.5).integer());
  CHECK(StateValue::of_text("a\nb").text() == "a\nb");
  CHECK_FALSE(StateValue::of_text("1").real());
  CHECK(StateValue::of_text("1").class_name() == "str");
  CHECK_FALSE(StateValue::of_integer(1).text());
  ValueGraph graph;
  graph.add_parent(ValueKind::kOrderedDict, {});
  CHECK(StateValue(graph).class_name() == "collections.OrderedDict");
  graph.add_parent(ValueKind::kOpaque, {}, "numpy\nndarray");
  CHECK(StateValue(graph).class_name() == "numpy.ndarray");
}

TEST_CASE("an item is one of three") {
  const StateItem of_tensor = floats({1});
  CHECK(of_tensor.tensor() != nullptr);
  CHECK(of_tensor.value() == nullptr);
  CHECK(of_tensor.composite() == nullptr);
  const StateItem of_value = StateValue::of_integer(1);
  CHECK(of_value.value() != nullptr);
  CHECK(of_value.tensor() == nullptr);
}

// What torch.nn.modules.utils has left of the same keys and paths, in its order.
TEST_CASE("a prefix is consumed from keys and paths as PyTorch does") {
  struct Row {
    std::string prefix;
    Strings keys, paths, keys_after, paths_after;
  };
  const std::vector<Row> rows{
      {"module.",
       {"module.a.w", "b", "module.c"},
       {"", "module", "module.a", "other"},
       {"b", "a.w", "c"},
       {"", "other", "a"}},
      {"module.", {"module.a", "a"}, {"modulex"}, {"a"}, {"modulex"}},
      {"module.", {"modules.a", "module."}, {"module.module"}, {"modules.a", ""}, {"module"}},
      {"a.b.", {"a.b.w", "a.w"}, {"ab", "a.b", "a.b.c"}, {"a.w", "w"}, {"a.b", "", "c"}},
      {"m", {"mm", "n"}, {"m", "mx"}, {"n", "m"}, {"", "x"}},
      {"", {"a", "b"}, {"", "x"}, {"a", "b"}, {"", "x"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.prefix);
    StateDict state_dict;
    for (const std::string& key : row.keys)
      state_dict.set(key, StateValue::of_text(key));
    for (const std::string& path : row.paths)
      state_dict.metadata().set(path, {.version = 1, .values = {}});
    consume_prefix_in_state_dict_if_present(state_dict, row.prefix);
    CHECK(keys(state_dict) == row.keys_after);
    CHECK(keys(state_dict.metadata()) == row.paths_after);
  }
}

TEST_CASE("a prefix may be a part of a key that it changes") {
  StateDict state_dict;
  state_dict.set("a.very.long.prefix.that.needs.memory.of.its.own.w", floats({1}));
  const std::string_view key = state_dict.begin()->name;
  consume_prefix_in_state_dict_if_present(state_dict, key.substr(0, key.size() - 1));
  CHECK(keys(state_dict) == Strings{"w"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
