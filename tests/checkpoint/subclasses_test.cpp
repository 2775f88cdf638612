// SPDX-License-Identifier: Apache-2.0
// Tensors of subclasses. What real ones become is held against PyTorch's own record of them by
// format/second_reader_test.py and torch/identity_test.py.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "opened.h"
#include "show.h"
#include "support/checkpoint_check.h"

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;
using pickle::boolean;
using pickle::call;
using pickle::dict;
using pickle::global;
using pickle::integer;
using pickle::list;
using pickle::ordered_dict;
using pickle::sizes;
using pickle::tensor;
using pickle::text;
using pickle::tuple;
using Shape = std::vector<std::int64_t>;

std::string utils(const std::string& name) {
  return global("torch._utils", name);
}

const std::string kMine = global("my.module", "MyTensor");
const std::string kFloat32 = global("torch", "float32");
const std::string kHooks = ordered_dict({});

std::string from_type(const std::vector<std::string>& arguments) {
  return call(global("torch._tensor", "_rebuild_from_type_v2"), arguments);
}

std::string layout(const std::string& name) {
  return call(global("torch.serialization", "_get_layout"), {text(name)});
}

std::string device(const std::string& name) {
  return call(global("torch", "device"), {text(name)});
}

struct WrapperCall {
  std::string inner_class = kMine;
  std::string dtype = kFloat32;
  std::string shape = sizes({2, 3});
  std::string strides = sizes({3, 1});
  std::string layout = tests::layout("torch.strided");
  std::string device = tests::device("cuda");
  std::string requires_grad = boolean(true);
  std::string more;
  std::string state = dict({text("inner"), tensor()});
};

std::string wrapper(const WrapperCall& of = {}) {
  std::vector<std::string> arguments{of.inner_class, of.dtype,  of.shape,  of.strides,
                                     integer(1),     of.layout, of.device, of.requires_grad};
  if (!of.more.empty()) arguments.push_back(of.more);
  return from_type({utils("_rebuild_wrapper_subclass"), kMine, tuple(arguments), of.state});
}

std::string strided(const std::string& state, const std::string& type = kMine) {
  return from_type(
      {utils("_rebuild_tensor_v2"), type,
       tuple({pickle::storage({}), integer(0), sizes({4}), sizes({1}), boolean(true), kHooks}),
       state});
}

Result<Checkpoint> opened(const std::string& value) {
  return open_value(dict({text("w"), value}), {{"0", noise(16)}, {"1", noise(24)}});
}

const std::string kNested = "torch.nested._internal.nested_tensor";
const std::string kJagged = global(kNested, "NestedTensor");

std::string longs(const Shape& shape) {
  return tensor({.key = "1",
                 .storage_class = "LongStorage",
                 .numel = 3,
                 .shape = shape,
                 .strides = Shape(shape.size(), 1)});
}

struct JaggedCall {
  std::string function = global(kNested, "_rebuild_njt");
  std::string values = tensor();
  std::string offsets = longs({3});
  std::string dimension = integer(1);
  std::string requires_grad = boolean(true);
  std::vector<std::string> more = {};
  std::string state_values = pickle::get(40);
  std::string state_lengths = "N";
};

std::string jagged(const JaggedCall& of = {}) {
  std::vector<std::string> arguments{text("values"),          of.values + pickle::put(40),
                                     text("offsets"),         of.offsets + pickle::put(41),
                                     text("lengths"),         "N",
                                     text("_ragged_idx"),     integer(1),
                                     text("_metadata_cache"), "}" + pickle::put(42),
                                     text("requires_grad"),   of.requires_grad};
  arguments.insert(arguments.end(), of.more.begin(), of.more.end());
  return from_type({of.function, kJagged, tuple({dict(arguments)}),
                    dict({text("_ragged_idx"), of.dimension, text("_values"), of.state_values,
                          text("_offsets"), pickle::get(41), text("_lengths"), of.state_lengths,
                          text("_metadata_cache"), pickle::get(42)})});
}

void check_shown(const std::string& value, const std::string& shown, std::size_t composites) {
  CAPTURE(shown);
  const auto found = opened(value);
  REQUIRE_MESSAGE(found, message_of(found));
  CHECK(show(found->values) == "{'w': " + shown + "}");
  CHECK(found->composites.size() == composites);
  CHECK(broken_promise(*found) == "");
}

TEST_SUITE("checkpoint/subclasses") {
  TEST_CASE("a wrapper is a composite with its state for attributes") {
    const auto found = opened(wrapper());
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(show(found->values) == "{'w': composite0 @{'inner': tensor0}}");
    REQUIRE(found->composites.size() == 1);
    const checkpoint::Composite& composite = found->composites[0];
    CHECK(composite.kind == CompositeKind::kWrapperSubclass);
    CHECK(composite.class_name == "my.module.MyTensor");
    CHECK(composite.dtype == Dtype::kFloat32);
    CHECK(composite.shape == Shape{2, 3});
    CHECK(composite.integers == Shape{3, 1, 1});
    CHECK(composite.requires_grad);
    CHECK_FALSE(composite.is_parameter);
    CHECK(broken_promise(*found) == "");
  }

  TEST_CASE("a tensor whose class only adds to it is a composite of its values") {
    const auto found =
        opened(strided(dict({text("_is_param"), boolean(true), text("other"), "N"})));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(show(found->values) == "{'w': composite0 @{'_is_param': True, 'other': None}}");
    const checkpoint::Composite& composite = found->composites.at(0);
    CHECK(composite.shape == Shape{4});
    CHECK(composite.integers.empty());
    CHECK(composite.is_parameter);
    CHECK(composite.requires_grad);
    REQUIRE(composite.parts.size() == 1);
    CHECK(composite.parts[0].role == "values");
    CHECK_FALSE(found->tensors.at(composite.parts[0].tensor).requires_grad);
    CHECK(broken_promise(*found) == "");
  }

  TEST_CASE("the state of a tensor of a subclass is kept whatever it is") {
    struct Row {
      std::string state;
      std::string shown;
    };
    const std::string slots = tuple({"N", dict({text("inner"), tensor()})});
    const Row rows[] = {
        {strided("N"), "composite0"},
        {strided("}"), "composite0 @{}"},
        {strided(list({integer(1)})), "composite0 @{'__setstate__': [1]}"},
        {strided(call(global("m", "State"), {})), "composite0 @{'__setstate__': m.State()}"},
        {strided(tensor()), "composite0 @{'__setstate__': tensor1}"},
        {wrapper({.state = slots}), "composite0 @{'__setstate__': (None, {'inner': tensor0})}"},
        {wrapper({.state = dict({text("a"), strided("N"), text("b"), wrapper()})}),
         "composite0 @{'a': torch._tensor._rebuild_from_type_v2(tensor0, my.module.MyTensor, "
         "None), "
         "'b': object torch._tensor._rebuild_from_type_v2(torch._utils._rebuild_wrapper_subclass, "
         "my.module.MyTensor, (my.module.MyTensor, float32, (2, 3), (3, 1), 1, object "
         "torch.serialization._get_layout('torch.strided'), device<cuda>, True), "
         "{'inner': tensor1})}"},
    };
    for (const Row& row : rows) {
      check_shown(row.state, row.shown, 1);
    }
  }

  TEST_CASE("what makes a wrapper stays a record where a composite cannot say it") {
    struct Row {
      const char* what = "";
      WrapperCall call;
    };
    const Row rows[] = {
        {"another class", {.inner_class = global("my", "Other")}},
        {"no dtype", {.dtype = global("torch", "float99")}},
        {"sizes that are no tuple", {.shape = "N"}},
        {"more strides than sizes", {.strides = sizes({1})}},
        {"another layout", {.layout = layout("torch.sparse_coo")}},
        {"no layout", {.layout = "N"}},
        {"on the meta device", {.device = device("meta")}},
        {"no device", {.device = text("cpu")}},
        {"no requires_grad", {.requires_grad = integer(1)}},
        {"more arguments", {.more = integer(1)}},
        {"a state without tensors", {.state = dict({text("inner"), integer(1)})}},
        {"no state", {.state = "N"}},
    };
    for (const Row& row : rows) {
      CAPTURE(row.what);
      const auto found = opened(wrapper(row.call));
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(found->composites.empty());
      CHECK(show(found->values)
                .starts_with(
                    "{'w': object "
                    "torch._tensor._rebuild_from_type_v2(torch._utils._rebuild_wrapper_subcl"));
    }
  }

  TEST_CASE("a jagged nested tensor is a composite with its state for attributes") {
    const auto found = opened(jagged());
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(show(found->values) ==
          "{'w': composite0 @{'_ragged_idx': 1, '_values': tensor0, '_offsets': tensor1, "
          "'_lengths': None, '_metadata_cache': {}}}");
    REQUIRE(found->composites.size() == 1);
    const checkpoint::Composite& composite = found->composites[0];
    CHECK(composite.kind == CompositeKind::kWrapperSubclass);
    CHECK(composite.class_name == kNested + ".NestedTensor");
    CHECK(composite.dtype == Dtype::kFloat32);
    CHECK(composite.shape == Shape{2});
    CHECK(composite.integers == Shape{1});
    CHECK(composite.requires_grad);
    CHECK(broken_promise(*found) == "");
  }

  TEST_CASE("a jagged nested tensor whose state does not tell all is a record that keeps it") {
    struct Row {
      const char* what = "";
      JaggedCall call;
    };
    const Row rows[] = {
        {"other values in the state", {.state_values = tensor()}},
        {"values that are no tensor", {.values = integer(1)}},
        {"offsets that are no tensor", {.offsets = "N"}},
        {"offsets that are no list", {.offsets = longs({3, 1})}},
        {"no offsets", {.offsets = longs({0})}},
        {"lengths in the state only", {.state_lengths = longs({2})}},
        {"another dimension in the state", {.dimension = integer(2)}},
        {"no dimension", {.dimension = "N"}},
        {"no requires_grad", {.requires_grad = integer(1)}},
        {"one more argument", {.more = {text("dtype"), "N"}}},
    };
    for (const Row& row : rows) {
      CAPTURE(row.what);
      const auto found = opened(jagged(row.call));
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(found->composites.empty());
      CHECK(show(found->values)
                .starts_with("{'w': object torch._tensor._rebuild_from_type_v2(" + kNested +
                             "._rebuild_njt, "));
    }
  }

  TEST_CASE("so is one as older versions wrote it, and one inside of another tensor") {
    const std::string state = dict({text("_values"), pickle::get(40)});
    check_shown(
        from_type({kJagged, kJagged, tuple({tensor() + pickle::put(40), longs({3})}), state}),
        "object torch._tensor._rebuild_from_type_v2(" + kNested + ".NestedTensor, " + kNested +
            ".NestedTensor, (tensor0, tensor1), {'_values': tensor0})",
        0);
    check_shown(wrapper({.state = dict({text("inner"), jagged()})}),
                "composite0 @{'inner': object torch._tensor._rebuild_from_type_v2(" + kNested +
                    "._rebuild_njt, " + kNested +
                    ".NestedTensor, ({'values': tensor0, 'offsets': tensor1, 'lengths': None, "
                    "'_ragged_idx': 1, '_metadata_cache': {}, 'requires_grad': True}), "
                    "{'_ragged_idx': 1, '_values': tensor0, '_offsets': tensor1, '_lengths': None, "
                    "'_metadata_cache': {}})}",
                1);
  }

  TEST_CASE("other calls around tensors are records that keep them") {
    struct Row {
      std::string value;
      std::string shown;
    };
    const Row rows[] = {
        {call(utils("_rebuild_parameter"),
              {from_type({global("m", "f"), kMine, tuple({tensor()}), "N"}), boolean(true), "N"}),
         "torch._utils._rebuild_parameter(torch._tensor._rebuild_from_type_v2(m.f, "
         "my.module.MyTensor, (tensor0), None), True, None)"},
        {call(global("torch.nn.parameter", "Parameter"), {call(global("m", "f"), {tensor()})}),
         "torch.nn.parameter.Parameter(m.f(tensor0))"},
        {call(utils("_rebuild_device_tensor_from_cpu_tensor"), {tensor(), text("xla")}),
         "torch._utils._rebuild_device_tensor_from_cpu_tensor(tensor0, 'xla')"},
        {from_type({global("m", "f"), global("torch", "Tensor"), tuple({tensor()}), "}"}),
         "torch._tensor._rebuild_from_type_v2(m.f, torch.Tensor, (tensor0), {})"},
        {from_type({global("m", "f"), kMine, tuple({tensor()})}),
         "torch._tensor._rebuild_from_type_v2(m.f, my.module.MyTensor, (tensor0))"},
    };
    for (const Row& row : rows) {
      check_shown(row.value, row.shown, 0);
    }
  }

  TEST_CASE("tensors of subclasses that PyTorch could not have written are refused by name") {
    struct Row {
      std::string value;
      std::string text;
    };
    const Row rows[] = {
        {from_type({utils("_rebuild_tensor_v2"), kMine, tuple({pickle::storage({})}), "N"}),
         "the storage offset is missing"},
        {from_type({utils("_rebuild_tensor"), kMine,
                    tuple({pickle::storage({}), integer(0), sizes({5}), sizes({1})}), "N"}),
         "does not lie inside its storage"},
        {wrapper({.shape = sizes({-2, 3})}), "no number from 0 to"},
        {wrapper({.strides = sizes({-1, 3})}), "no number from 0 to"},
        {wrapper({.shape = sizes({INT64_MAX, 3})}), "a shape of"},
        {wrapper({.shape = sizes(Shape(65, 1)), .strides = sizes(Shape(65, 1))}),
         "a tensor with 65 dimensions"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const auto found = opened(row.value);
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(contains(found.error().message(), "data.pkl: `w`: "));
      CHECK(contains(found.error().message(), row.text));
    }
  }

  TEST_CASE("a state that many tensors share is paid for by each") {
    std::vector<std::string> state;
    for (int i = 0; i < 3000; ++i) {
      state.push_back(text("key" + std::to_string(i)));
      state.emplace_back("N");
    }
    const std::string shared = dict(state) + pickle::put(40);
    std::string many = strided(shared);
    std::vector<std::string> items{many};
    for (int i = 0; i < 4000; ++i)
      items.push_back(strided(pickle::get(40), kMine));
    const auto found = opened(list(items));
    REQUIRE_FALSE(found);
    CHECK(contains(found.error().message(), "unfolds to more than"));
  }
}

}  // namespace
}  // namespace weightmap::tests
