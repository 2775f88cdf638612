// SPDX-License-Identifier: Apache-2.0
// A counterpart of each test of PyTorch's test/nn/test_load_state_dict.py, under its name.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/containers.h"
#include "weightmap/load.h"

#include "support/torch_layers.h"

namespace weightmap {
namespace {

using tests::BatchNorm;
using tests::fill;
using tests::Linear;
using tests::tensor_of;
using tests::values_of;
using Floats = std::vector<float>;
using Sizes = std::vector<std::int64_t>;
using Strings = std::vector<std::string>;

struct Conv2d : Module {
  Conv2d(Module& parent, std::string_view name, bool with_bias) : Module(parent, name) {
    if (with_bias) {
      bias.emplace(*this, "bias", std::initializer_list<std::int64_t>{3});
    } else {
      register_parameter("bias", nullptr);
    }
  }
  Parameter<float> weight{*this, "weight", {3, 3, 3, 3}};
  std::optional<Parameter<float>> bias;
};

// The values as they are now, which a state dict would not keep.
StateDict copied(const StateDict& from) {
  StateDict copies;
  for (const auto& [key, item] : from) {
    const TensorView& view = item.tensor()->view();
    const Sizes shape(view.shape().begin(), view.shape().end());
    copies.set(key, StateTensor::copy_of_bytes(view.dtype(), shape, view.extent()));
  }
  copies.metadata() = from.metadata();
  return copies;
}

Strings list(std::span<const std::string> from) {
  return {from.begin(), from.end()};
}

// That a load is refused when strict, and what it returns when not.
void check_incompatible(Module& net,
                        const StateDict& state_dict,
                        const Strings& missing,
                        const Strings& unexpected) {
  CHECK_FALSE(net.load_state_dict(state_dict).ok());
  const LoadReport report = net.load_state_dict(state_dict, {.strict = false});
  CHECK(report.ok());
  CHECK(list(report.missing()) == missing);
  CHECK(list(report.unexpected()) == unexpected);
}

TEST_SUITE_BEGIN("runtime/pytorch_checklist");

TEST_CASE("test_load_state_dict_invalid: what is no tensor is an error with its class") {
  Linear net(2, 2);
  StateDict state_dict;
  ValueGraph array;
  array.add_parent(ValueKind::kOpaque, {}, "numpy\nndarray");
  ValueGraph tuple;
  tuple.add_parent(ValueKind::kTuple, {});
  for (const auto& [graph, class_name] : {std::pair{array, "numpy.ndarray"}, {tuple, "tuple"}}) {
    state_dict.set("weight", StateValue(graph));
    state_dict.set("bias", tensor_of({2}, 1));
    const LoadReport report = net.load_state_dict(state_dict);
    CHECK(report.text() ==
          std::string("Error(s) in loading state_dict for Linear:\n\tWhile copying "
                      "the parameter named \"weight\", expected torch.Tensor or "
                      "Tensor-like object from checkpoint but received <class '") +
              class_name + "'>");
  }
}

template <typename T>
constexpr bool kTakes = requires(Module& module, const T& given) {
  module.load_state_dict(given);
};

// Only a state dict or a file can be given at all: the nearest thing is a state dict without any
// tensor in it.
TEST_CASE("test_load_state_dict_type: what is no dictionary cannot be given") {
  static_assert(kTakes<StateDict> && kTakes<WeightFile>);
  static_assert(!kTakes<std::string> && !kTakes<int>);
  Module net;
  CHECK(net.load_state_dict(StateDict()).ok());
}

struct Block : Module {
  using Module::Module;
  Conv2d conv1{*this, "conv1", true};
  Conv2d conv2{*this, "conv2", false};
};

struct Net : Module {
  Linear linear1{*this, "linear1", 5, 5};
  BatchNorm bn{*this, "bn", 2};
  Block block{*this, "block"};
  Net() {
    register_module("linear2", linear1);
    register_module("empty", nullptr);
  }
};

TEST_CASE("test_load_state_dict: values come in, also from below a prefix that is consumed") {
  for (const std::string prefix : {"", "module."}) {
    CAPTURE(prefix);
    Net net;
    fill(net);
    StateDict given = net.state_dict();
    given.set(prefix + "linear1.weight", tensor_of({5, 5}, 1));
    given.set(prefix + "block.conv1.bias", StateTensor::copy_of<float>({3}, Floats{1, 2, 3}));
    given.set(prefix + "bn.running_mean", tensor_of({2}, -1));
    consume_prefix_in_state_dict_if_present(given, "module.");
    const LoadReport report = net.load_state_dict(given);
    REQUIRE(report.ok());
    CHECK(report.missing().empty());
    CHECK(report.unexpected().empty());
    CHECK(values_of(net.linear1.weight) == Floats(25, 1));
    CHECK(values_of(*net.block.conv1.bias) == Floats{1, 2, 3});
    CHECK(values_of(net.bn.running_mean) == Floats{-1, -1});
  }
}

TEST_CASE("test_load_state_dict: keys that are too many or too few are listed exactly") {
  Net net;
  fill(net);
  StateDict extra = net.state_dict();
  extra.set("extra", tensor_of({5}, 1));
  check_incompatible(net, extra, {}, {"extra"});
  StateDict dotted = net.state_dict();
  dotted.set("extra.param", tensor_of({5}, 1));
  check_incompatible(net, dotted, {}, {"extra.param"});
  StateDict without = net.state_dict();
  without.erase("linear1.weight");
  check_incompatible(net, without, {"linear1.weight"}, {});
  without.set("extra.param", tensor_of({5}, 1));
  check_incompatible(net, without, {"linear1.weight"}, {"extra.param"});
}

TEST_CASE("test_load_state_dict: a wrong size is an error, strict or not") {
  Net net;
  fill(net);
  StateDict wrong = net.state_dict();
  wrong.set("bn.running_mean", tensor_of({14, 4}, 1));
  CHECK_FALSE(net.load_state_dict(wrong).ok());
  CHECK_FALSE(net.load_state_dict(wrong, {.strict = false}).ok());
}

TEST_CASE("test_load_state_dict: a part of the keys changes that part only") {
  Net net;
  fill(net);
  const StateDict before = copied(net.state_dict());
  StateDict part;
  part.set("linear1.weight", tensor_of({5, 5}, 1));
  part.set("block.conv1.bias", StateTensor::copy_of<float>({3}, Floats{1, 2, 3}));
  part.set("bn.running_mean", tensor_of({2}, -1));
  part.set("nonexistent_key", tensor_of({3}, 1));
  REQUIRE(net.load_state_dict(part, {.strict = false}).ok());
  const StateDict after = net.state_dict();
  for (const auto& [key, item] : part) {
    if (key != "nonexistent_key") CHECK(values_of(after, key) == values_of(part, key));
  }
  for (const auto& [key, item] : before) {
    const bool is_new = part.contains(key) || key == "linear2.weight";  // a name of linear1.weight
    if (!is_new) CHECK(values_of(after, key) == values_of(before, key));
  }
}

TEST_CASE("test_load_state_dict_BC: a batch norm of version 1, or of none, has no count") {
  for (const std::optional<std::int64_t> version : {std::optional<std::int64_t>(1), {}}) {
    BatchNorm norm(3);
    fill(norm);
    StateDict old = norm.state_dict();
    old.erase("num_batches_tracked");
    old.metadata().find("")->version = version;
    REQUIRE(norm.load_state_dict(old).ok());
    CHECK(norm.num_batches_tracked.dtype() == Dtype::kInt64);
    CHECK(norm.num_batches_tracked[0] == 0);
  }
}

TEST_CASE("test_load_state_dict_child: a hook sees the keys of its module only") {
  Sequential model;
  for (int i = 0; i < 10; ++i) {
    auto& outer = model.emplace_back<Sequential>();
    for (int j = 0; j < 10; ++j) {
      auto& inner = outer.emplace_back<Sequential>();
      for (int k = 0; k < 10; ++k)
        inner.emplace_back<Linear>(1, 1);
    }
  }
  fill(model);
  int calls = 0;
  auto& child = dynamic_cast<Sequential&>(dynamic_cast<Sequential&>(model[0])[0]);
  child.register_load_state_dict_pre_hook([&](Module& module, LoadStep& step) {
    ++calls;
    CHECK(step.prefix == "0.0.");
    CHECK(step.state_dict.size() == module.state_dict().size());
    CHECK(step.state_dict.size() == 20);
  });
  CHECK(model.load_state_dict(model.state_dict()).ok());
  CHECK(calls == 1);
}

// In PyTorch a module that was unpickled without the attribute. Here: one that never had a hook.
TEST_CASE("test_register_state_dict_pre_hook_backward_compat: a hook comes to a module late") {
  Linear net(1, 1);
  bool called = false;
  CHECK(net.state_dict().size() == 2);
  net.register_state_dict_pre_hook([&](Module&, std::string_view, bool) { called = true; });
  CHECK_FALSE(called);
  net.state_dict();
  CHECK(called);
}

// Here nothing collects cycles: what a load leaves behind would be memory that stays.
TEST_CASE("test_load_state_dict_ref_cycle: a load keeps nothing, an assignment what it points to") {
  auto memory = std::make_shared<Floats>(4);
  const std::weak_ptr<Floats> alive = memory;
  StateDict given;
  const auto* const data = reinterpret_cast<const std::byte*>(memory->data());
  given.set("weight", StateTensor::over({.shape = {2, 2}}, data, std::move(memory)));
  given.set("bias", tensor_of({2}, 1));
  std::optional<Linear> loaded(std::in_place, 2, 2);
  std::optional<Linear> assigned(std::in_place, 2, 2);
  REQUIRE(loaded->load_state_dict(given).ok());
  REQUIRE(assigned->load_state_dict(given, {.assign = true}).ok());
  given.clear();
  CHECK_FALSE(alive.expired());
  assigned.reset();
  CHECK(alive.expired());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
