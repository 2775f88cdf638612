// SPDX-License-Identifier: Apache-2.0
// The rest of pytorch_checklist_test.cpp: what is assigned, what is replaced, and unexpected keys.
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/containers.h"
#include "weightmap/load.h"

#include "format/index_view.h"
#include "support/names.h"
#include "support/torch_layers.h"

namespace weightmap {
namespace {

using tests::BatchNorm;
using tests::fill;
using tests::Linear;
using tests::names;
using tests::tensor_of;
using tests::values_of;
using Floats = std::vector<float>;
using Strings = std::vector<std::string>;

struct Net : Module {
  Slot x{{.shape = {5}, .requires_grad = false}};
  Linear fc1{*this, "fc1", 3, 5};
  BatchNorm bn{*this, "bn", 5};
  Net() { register_parameter("x", x); }
};

Strings names_of(const LoadReport& report) {
  return {report.unexpected().begin(), report.unexpected().end()};
}

TEST_SUITE_BEGIN("runtime/pytorch_assign");

// Its parameter is written as `serialized`, one more than it is; that of its child as usual.
struct CustomState : Module {
  Parameter<float> param{*this, "param", {1}};
  Linear sub{*this, "sub", 5, 5};
  CustomState(Module& parent, std::string_view name) : Module(parent, name) {
    replace_save_to_state_dict([this](StateDict& destination, std::string_view prefix, bool) {
      destination.set(std::string(prefix) + "serialized", tensor_of({1}, param[0] + 1));
    });
    replace_load_from_state_dict([this](LoadStep& step) {
      param.mutable_values()[0] = values_of(step.state_dict, step.prefix + "serialized").at(0) - 1;
    });
  }
};

TEST_CASE("test_load_state_dict_custom: a module reads what it wrote, its child as always") {
  StateDict state_dict;
  {
    Sequential model;
    auto& custom = model.emplace_back<CustomState>();
    fill(model);
    custom.param.mutable_values()[0] = 10;
    custom.sub.weight.mutable_values()[0] = 555;
    state_dict = model.state_dict();
  }
  CHECK(values_of(state_dict, "0.serialized") == Floats{11});
  CHECK(state_dict.contains("0.sub.weight"));
  CHECK_FALSE(state_dict.contains("0.param"));
  Sequential other;
  auto& custom = other.emplace_back<CustomState>();
  fill(other);
  CHECK(custom.param[0] == 1);
  REQUIRE(other.load_state_dict(state_dict).ok());
  CHECK(custom.param[0] == 10);
  CHECK(custom.sub.weight[0] == 555);
}

// In place of outputs: the very bytes that the outputs would be computed of.
TEST_CASE("test_load_state_dict_assign_meta: slots without memory get the state dict's own") {
  for (const bool keep_vars : {true, false}) {
    CAPTURE(keep_vars);
    Net net;
    fill(net);
    StateDict given = net.state_dict({.keep_vars = keep_vars});
    for (auto& [key, item] : given)  // v.requires_grad_(False)
      item = item.tensor()->with_flags(item.tensor()->view().flags() & ~format::kRequiresGrad);
    Net meta;
    const StateDict old = meta.state_dict({.keep_vars = true});
    CHECK(old.find("fc1.weight")->tensor()->view().is_meta());
    REQUIRE(meta.load_state_dict(given, {.assign = true}).ok());
    const StateDict now = meta.state_dict({.keep_vars = true});
    for (const auto& [key, item] : given) {
      const TensorView& view = now.find(key)->tensor()->view();
      CHECK(view.data() == item.tensor()->view().data());
      CHECK(view.requires_grad() == old.find(key)->tensor()->view().requires_grad());
      CHECK(view.is_parameter() == old.find(key)->tensor()->view().is_parameter());
    }
    CHECK_FALSE(now.find("x")->tensor()->view().requires_grad());
    CHECK(names(net.named_parameters()) == names(meta.named_parameters()));
    CHECK(names(net.named_buffers()) == names(meta.named_buffers()));
  }
}

// There is no optimizer here. What one relies on: the slots that it was given (made after the load,
// as PyTorch wants it) are those that a state dict shows, and their memory stays in later loads.
TEST_CASE("test_load_state_dict_assign_with_optimizer: what is trained is what is saved") {
  Net net;
  fill(net);
  Net trained;
  REQUIRE(trained.load_state_dict(net.state_dict(), {.assign = true}).ok());
  CHECK(trained.fc1.weight.mutable_values().empty());  // another module's: not to be trained
  REQUIRE(trained.load_state_dict(net.state_dict()).ok());
  const std::vector<Slot*> parameters = trained.parameters();
  CHECK(parameters.size() == 5);
  for (Slot* const parameter : parameters) {
    REQUIRE(parameter->mutable_bytes() != nullptr);
    reinterpret_cast<float*>(parameter->mutable_bytes())[0] -= 0.5F;
  }
  CHECK(values_of(trained.state_dict(), "fc1.weight")[0] == net.fc1.weight[0] - 0.5F);
  CHECK(values_of(trained.state_dict(), "bn.bias")[0] == net.bn.bias[0] - 0.5F);
  CHECK(values_of(trained.state_dict(), "bn.running_mean") == values_of(net.bn.running_mean));
}

// A slot says whether it follows strides. One that does not is told so, where PyTorch assigns.
TEST_CASE("test_load_state_dict_assign_shape_stride: strides may be others, shapes not") {
  struct Strided : Module {
    Parameter<float> weight{*this, "weight", {5, 3}, SlotLayout::kAnyStrides};
  };
  const Floats values{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  StateDict given;
  given.set("weight",
            StateTensor::over({.shape = {5, 3}, .strides = std::vector<std::int64_t>{1, 5}},
                              std::as_bytes(std::span(values)).data(), nullptr));
  Strided net;
  REQUIRE(net.load_state_dict(given, {.strict = false, .assign = true}).ok());
  CHECK(net.weight.strides()[1] == 5);
  CHECK(net.weight.data() == values.data());
  Linear contiguous(3, 5);
  CHECK(
      contiguous.load_state_dict(given, {.strict = false, .assign = true}).mismatched()[0].reason ==
      Mismatch::Reason::kLayout);
  given.set("weight", tensor_of({2, 4}, 1));
  const LoadReport report = net.load_state_dict(given, {.strict = false, .assign = true});
  CHECK(report.text() ==
        "Error(s) in loading state_dict for Strided:\n\tsize mismatch for weight: copying a param "
        "with shape torch.Size([2, 4]) from checkpoint, the shape in current model is "
        "torch.Size([5, 3]).");
}

// PyTorch warns that nothing is copied into a parameter without memory. Here it gets some.
TEST_CASE("test_load_state_dict_warn_assign: a slot without memory gets what is loaded") {
  Linear net(3, 5);
  StateDict given = net.state_dict();
  CHECK(given.find("weight")->tensor()->view().is_meta());
  given.set("weight", tensor_of({5, 3}, 2));
  CHECK_FALSE(net.load_state_dict(given).ok());  // the bias has no values to load
  given.set("bias", tensor_of({5}, 1));
  REQUIRE(net.load_state_dict(given).ok());
  CHECK(values_of(net.weight) == Floats(15, 2));
  CHECK(net.weight.mutable_values().size() == 15);
}

TEST_CASE("test_load_state_dict_with_unexpected_key: below a layer, and below a parameter") {
  struct OneLayer : Module {
    Linear fc1{*this, "fc1", 5, 10};
  } net;
  fill(net);
  for (const std::string key : {"fc1.bad_suffix", "fc1.weight.bad_suffix"}) {
    CAPTURE(key);
    StateDict given = net.state_dict();
    given.set(key, tensor_of({5, 10}, 1));
    CHECK(net.load_state_dict(given).text() ==
          "Error(s) in loading state_dict for OneLayer:\n\tUnexpected key(s) in state_dict: \"" +
              key + "\". ");
    const LoadReport loose = net.load_state_dict(given, {.strict = false});
    CHECK(loose.ok());
    CHECK(names_of(loose) == Strings{key});
  }
}

// Which class wins, the model's or the checkpoint's? Slots have a dtype in place of a class: a copy
// keeps the slot's, an assignment takes the tensor's, where the slot takes any. What cannot be
// loaded is an error for the key.
TEST_CASE("test_swap_subclass: a copy keeps what the slot is, an assignment takes what comes") {
  for (const bool assign : {false, true}) {
    for (const Dtype slot_dtype : {Dtype::kFloat32, Dtype::kInt32}) {
      CAPTURE(assign);
      Module net;
      Slot weight({.dtype = slot_dtype, .shape = {2}, .any_dtype = true});
      Slot buffer(
          {.dtype = slot_dtype, .shape = {2}, .role = SlotRole::kBuffer, .any_dtype = true});
      net.register_parameter("weight", weight);
      net.register_buffer("buf", buffer);
      StateDict given;
      given.set("weight", tensor_of({2}, 3));
      given.set("buf", tensor_of({2}, 4));
      REQUIRE(net.load_state_dict(given, {.assign = assign}).ok());
      CHECK(weight.dtype() == (assign ? Dtype::kFloat32 : slot_dtype));
      CHECK(buffer.dtype() == (assign ? Dtype::kFloat32 : slot_dtype));
      CHECK(net.own_parameters().size() == 1);
      CHECK(net.own_buffers().size() == 1);
      given.set("weight", StateValue::of_text("no tensor"));
      CHECK(net.load_state_dict(given, {.assign = assign})
                .text()
                .starts_with("Error(s) in loading state_dict for Module:"));
    }
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
