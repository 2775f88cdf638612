// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_values.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "opened.h"
#include "show.h"

namespace weightmap::tests {
namespace {

using namespace std::string_literals;
using checkpoint::Checkpoint;
using checkpoint::Tensor;
using pickle::boolean;
using pickle::call;
using pickle::dict;
using pickle::get;
using pickle::global;
using pickle::integer;
using pickle::list;
using pickle::ordered_dict;
using pickle::put;
using pickle::real;
using pickle::repeat;
using pickle::sizes;
using pickle::tensor;
using pickle::TensorCall;
using pickle::text;
using pickle::tuple;

using Shape = std::vector<std::int64_t>;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

const std::string kHooks = ordered_dict({});
const std::string kParameter = global("torch.nn.parameter", "Parameter");

std::string utils(const std::string& name) {
  return global("torch._utils", name);
}

std::string v3(const std::string& dtype, std::int64_t bytes, std::int64_t elements) {
  return call(utils("_rebuild_tensor_v3"),
              {pickle::storage({.storage_class = "UntypedStorage", .numel = bytes}), integer(0),
               sizes({elements}), sizes({1}), boolean(false), kHooks, global("torch", dtype)});
}

std::string meta_tensor(const Shape& shape, const Shape& strides) {
  return call(utils("_rebuild_meta_tensor_no_storage"),
              {global("torch", "float16"), sizes(shape), sizes(strides), boolean(true)});
}

std::string from_type(const std::string& type, const std::string& state) {
  return call(
      global("torch._tensor", "_rebuild_from_type_v2"),
      {utils("_rebuild_tensor_v2"), type,
       tuple({pickle::storage({}), integer(0), sizes({4}), sizes({1}), boolean(false), kHooks}),
       state});
}

// As 0.1 pickled it, made by this opcode.
std::string old_tensor(const std::string& module,
                       const std::string& name,
                       const std::string& opcode,
                       const std::string& state = tuple({pickle::storage({}), integer(0),
                                                         sizes({4}), sizes({1})})) {
  return global(module, name) + ")" + opcode + state + "b";
}

// The one tensor of a checkpoint with a storage "0" of 16 bytes.
std::pair<Checkpoint, Tensor> one_tensor(const std::string& value) {
  auto found = open_value(value, {{"0", noise(16)}});
  REQUIRE_MESSAGE(found, message_of(found));
  REQUIRE(found->tensors.size() == 1);
  const Tensor only = found->tensors[0];
  return {*std::move(found), only};
}

Error refusal(const std::string& value) {
  const auto found = open_value(value, {{"0", noise(16)}});
  REQUIRE_FALSE(found);
  return found.error();
}

std::string values_of(const std::string& value) {
  const auto found = open_value(value, {{"0", noise(16)}});
  REQUIRE_MESSAGE(found, message_of(found));
  return show(found->values);
}

// A tuple of eight tuples of eight tuples ... as the key of a dict.
std::string laughs_key() {
  std::string value = "(" + repeat("K\x01", 8) + "t" + put(1) + "0";
  for (int i = 0; i < 20; ++i)
    value += "(" + repeat(get(1), 8) + "t" + put(1) + "0";
  return value + "}" + get(1) + "Ns";
}

TEST_SUITE("checkpoint/torch_values") {
  TEST_CASE("each way to make a tensor is read") {
    struct Row {
      std::string name;
      std::string value;
      Dtype dtype = Dtype::kFloat32;
      bool parameter = false;
      bool requires_grad = false;
    };
    const std::string v1 =
        call(utils("_rebuild_tensor"), {pickle::storage({}), integer(0), sizes({4}), sizes({1})});
    const Row rows[] = {
        {"_rebuild_tensor", v1},
        {"_rebuild_tensor_v2", tensor()},
        {"_rebuild_tensor_v3", v3("uint16", 16, 4), Dtype::kUInt16},
        {"_rebuild_parameter", call(utils("_rebuild_parameter"), {tensor(), boolean(true), kHooks}),
         Dtype::kFloat32, true, true},
        {"_rebuild_parameter_with_state",
         call(utils("_rebuild_parameter_with_state"), {tensor(), boolean(false), kHooks, "}"}),
         Dtype::kFloat32, true, false},
        {"_rebuild_from_type_v2 of a tensor", from_type(global("torch", "Tensor"), "}")},
        {"_rebuild_from_type_v2 of a parameter", from_type(kParameter, "N"), Dtype::kFloat32, true},
        {"_rebuild_from_type_v2 by the module's old name",
         call(global("torch.tensor", "_rebuild_from_type_v2"),
              {utils("_rebuild_tensor"), global("torch", "Tensor"),
               tuple({pickle::storage({}), integer(0), sizes({4}), sizes({1})}), "N"})},
        {"Parameter(data)", call(kParameter, {v1}), Dtype::kFloat32, true, true},
        {"Parameter(data, False)", call(kParameter, {v1, boolean(false)}), Dtype::kFloat32, true},
        {"Parameter(data) and its state",
         call(kParameter, {v1}) + tuple({boolean(false), boolean(true), kHooks}) + "b",
         Dtype::kFloat32, true},
        {"Parameter by NEWOBJ", kParameter + v1 + "\x85\x81", Dtype::kFloat32, true, true},
        {"torch.FloatTensor() and its state", old_tensor("torch", "FloatTensor", "R")},
        {"torch.Tensor() by NEWOBJ", old_tensor("torch", "Tensor", "\x81")},
        {"torch.cuda.FloatTensor()", old_tensor("torch.cuda", "FloatTensor", "R")},
        {"Parameter(torch.FloatTensor())",
         call(kParameter, {old_tensor("torch", "FloatTensor", "R")}), Dtype::kFloat32, true, true},
        {"Variable(data) and its state",
         call(global("torch.autograd.variable", "Variable"),
              {old_tensor("torch", "FloatTensor", "R")}) +
             tuple({boolean(true), boolean(false), kHooks}) + "b",
         Dtype::kFloat32, false, true},
        {"without hooks",
         call(utils("_rebuild_tensor_v2"),
              {pickle::storage({}), integer(0), sizes({4}), sizes({1}), boolean(false), "N"})},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const auto [found, only] = one_tensor(row.value);
      CHECK(show(found.values) == "tensor0");
      CHECK(only.dtype == row.dtype);
      CHECK(only.is_parameter == row.parameter);
      CHECK(only.requires_grad == row.requires_grad);
      CHECK(only.storage == 0);
      CHECK(std::ranges::equal(found.shape(only), Shape{4}));
      CHECK(std::ranges::equal(found.strides(only), Shape{1}));
    }
  }

  TEST_CASE("a tensor class that makes no tensor of 0.1 is a record") {
    const std::string numbers = call(global("torch", "FloatTensor"), {list({pickle::real(1)})});
    CHECK(values_of(numbers) == "torch.FloatTensor([1])");
    CHECK(values_of(call(global("torch", "LongTensor"), {})) == "torch.LongTensor()");
    CHECK(values_of(old_tensor("torch", "FloatTensor", "R", "}")) == "torch.FloatTensor() <- {}");
    CHECK(values_of(old_tensor("torch.sparse", "FloatTensor", "R", tuple({"N", "N", "N", "N"}))) ==
          "torch.sparse.FloatTensor() <- (None, None, None, None)");
  }

  TEST_CASE("a tensor of 0.1 over what is no storage of its type is refused") {
    struct Row {
      std::string value;
      std::string text;
    };
    const Row rows[] = {
        {old_tensor("torch", "LongTensor", "R"), "`torch.LongTensor`: a storage of float32"},
        {old_tensor("torch", "FloatTensor", "R",
                    tuple({pickle::storage({}), integer(1), sizes({4}), sizes({1})})),
         "does not lie inside its storage"},
        {old_tensor("torch", "FloatTensor", "R", tuple({"N", "N", "N", "N"})),
         "a tensor without a storage"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const Error error = refusal(row.value);
      CAPTURE(error.message());
      CHECK(error.code() == ErrorCode::kCorrupt);
      CHECK(contains(error.message(), row.text));
    }
  }

  TEST_CASE("tensors without values keep their shape") {
    const auto [absent, meta] = one_tensor(meta_tensor({3, 4}, {4, 1}));
    CHECK(meta.meta);
    CHECK(meta.requires_grad);
    CHECK(meta.storage == checkpoint::kNoStorage);
    CHECK(meta.dtype == Dtype::kFloat16);
    CHECK(std::ranges::equal(absent.shape(meta), Shape{3, 4}));
    CHECK(absent.storages.empty());

    const auto [elsewhere, located] = one_tensor(tensor({.key = "no record", .location = "meta"}));
    CHECK(located.meta);
    CHECK(located.storage == checkpoint::kNoStorage);

    const auto lazy = [](const char* name) {
      return one_tensor(call(global("torch.nn.parameter", name), {boolean(true)})).second;
    };
    CHECK(lazy("UninitializedParameter").uninitialized);
    CHECK(lazy("UninitializedParameter").is_parameter);
    CHECK(lazy("UninitializedParameter").requires_grad);
    CHECK(lazy("UninitializedBuffer").uninitialized);
    CHECK_FALSE(lazy("UninitializedBuffer").is_parameter);
  }

  TEST_CASE("a storage's class is known by its last name, and the location does not matter") {
    struct Row {
      std::string storage_class;
      std::int64_t numel;
      Dtype dtype;
    };
    const Row rows[] = {
        {"DoubleStorage", 2, Dtype::kFloat64},
        {"ComplexFloatStorage", 2, Dtype::kComplex64},
        {"BFloat16Storage", 8, Dtype::kBFloat16},
        {"BoolStorage", 16, Dtype::kBool},
        {"UntypedStorage", 16, Dtype::kUInt8},
        {"_UntypedStorage", 16, Dtype::kUInt8},
        {"UInt16Storage", 8, Dtype::kUInt16},
        {"Float8_e4m3fnStorage", 16, Dtype::kFloat8E4M3FN},
        {"BComplex32Storage", 4, Dtype::kBComplex32},
        {"cuda.LongStorage", 2, Dtype::kInt64},
    };
    for (const Row& row : rows) {
      CAPTURE(row.storage_class);
      const auto [found, only] = one_tensor(tensor({.storage_class = row.storage_class,
                                                    .numel = row.numel,
                                                    .shape = {1},
                                                    .location = "cuda:0"}));
      CHECK(only.dtype == row.dtype);
      CHECK(found.storages[0].size_bytes == 16);
    }
    const Error unknown = refusal(tensor({.storage_class = "TypedStorage"}));
    CHECK(unknown.code() == ErrorCode::kUnsupported);
    CHECK(contains(unknown.message(), "a storage of class `torch.TypedStorage`"));
  }

  TEST_CASE("a storage is one however often and under whatever dtype it is mentioned") {
    const auto found = open_value(
        list({tensor(), tensor({.storage_class = "DoubleStorage", .numel = 2, .shape = {2}}),
              tensor({.key = "00", .numel = 4}), tensor({.offset = 2, .shape = {2}})}),
        {{"0", noise(16)}, {"00", noise(16, 2)}});
    REQUIRE_MESSAGE(found, message_of(found));
    REQUIRE(found->tensors.size() == 4);
    REQUIRE(found->storages.size() == 2);
    CHECK(found->tensors[0].storage == found->tensors[1].storage);
    CHECK(found->tensors[0].storage != found->tensors[2].storage);
    CHECK(found->tensors[3].offset_bytes == 8);
    CHECK(found->storages[0].key == "0");
    CHECK(found->storages[1].key == "00");
  }

  TEST_CASE("a tensor object under two names is one tensor, two objects are two") {
    const auto shared =
        open_value(dict({text("a"), tensor() + put(9), text("b"), get(9)}), {{"0", noise(16)}});
    REQUIRE(shared);
    CHECK(shared->tensors.size() == 1);
    CHECK(show(shared->values) == "{'a': tensor0, 'b': tensor0}");
    const auto items = shared->values.items(shared->values.root());
    CHECK(items[1] == items[3]);

    const auto apart =
        open_value(dict({text("a"), tensor(), text("b"), tensor()}), {{"0", noise(16)}});
    REQUIRE(apart);
    CHECK(show(apart->values) == "{'a': tensor0, 'b': tensor1}");
    CHECK(apart->storages.size() == 1);
  }

  TEST_CASE("sizes and strides may be tuples, lists or a torch.Size, and of 63 bits") {
    const auto with = [](const std::string& shape, const std::string& strides) {
      return call(utils("_rebuild_tensor"), {pickle::storage({}), integer(0), shape, strides});
    };
    const std::string size = call(global("torch", "Size"), {tuple({integer(2), integer(2)})});
    const std::string as_list = list({integer(2), integer(1)});
    const auto [found, only] = one_tensor(with(size, as_list));
    CHECK(std::ranges::equal(found.shape(only), Shape{2, 2}));
    CHECK(std::ranges::equal(found.strides(only), Shape{2, 1}));

    const auto [wide, huge] = one_tensor(meta_tensor({kMost, 1}, {1, kMost}));
    CHECK(std::ranges::equal(wide.shape(huge), Shape{kMost, 1}));
    CHECK(std::ranges::equal(wide.strides(huge), Shape{1, kMost}));
  }

  TEST_CASE("a tensor at the edge of its storage is inside") {
    const TensorCall rows[] = {
        {.offset = 3, .shape = {1}},
        {.offset = 4, .shape = {0}},
        {.offset = 0, .shape = {0, kMost, kMost}, .strides = {kMost, kMost, kMost}},
        {.shape = {2, 2}, .strides = {1, 2}},
        {.shape = {5, 4}, .strides = {0, 1}},
        {.shape = {3, 2}, .strides = {1, 1}},
        {.shape = {1, 4}, .strides = {kMost, 1}},
        {.shape = {}, .strides = {}},
    };
    for (const TensorCall& row : rows) {
      CAPTURE(row.shape.size());
      CHECK(one_tensor(tensor(row)).second.storage == 0);
    }
  }

  TEST_CASE("a tensor that leaves its storage, or has impossible numbers, is corrupt") {
    const TensorCall rows[] = {
        {.shape = {5}},
        {.offset = 1},
        {.offset = 5, .shape = {0}},
        {.offset = -1},
        {.shape = {-1}},
        {.strides = {-1}},
        {.shape = {2, 2}, .strides = {3, 1}},
        {.shape = {2}, .strides = {kMost}},
        {.shape = {kMost}, .strides = {kMost}},
        {.shape = {3, 3}, .strides = {kMost, kMost}},
        {.shape = {kMost, 2}, .strides = {0, 0}},
        {.shape = {1LL << 32, 1LL << 32}, .strides = {0, 0}},
        {.offset = kMost},
        {.offset = kMost / 4 + 1},
        {.shape = {2, 2}, .strides = {1}},
        {.shape = {2}, .strides = {1, 1}},
        {.numel = 3, .shape = {3}},
        {.numel = 5},
        {.numel = -4},
        {.numel = kMost},
        {.numel = 1LL << 62},
        {.key = "1"},
        {.key = "../version"},
        {.storage_class = "DoubleStorage"},
        {.more = "}" + text("conj") + "\x88s"},
    };
    for (std::size_t place = 0; place < std::size(rows); ++place) {
      const TensorCall& row = rows[place];
      CAPTURE(place);
      const Error error = refusal(dict({text("layer.weight"), tensor(row)}));
      CAPTURE(error.message());
      CHECK(error.code() == ErrorCode::kCorrupt);
      CHECK(contains(error.message(), "data.pkl: `layer.weight`: "));
    }
  }

  TEST_CASE("the messages about tensors name both sides") {
    CHECK(contains(refusal(tensor({.shape = {5}})).message(),
                   "a tensor of float32[5] with strides [1] at element 0 does not lie inside its "
                   "storage of 16 bytes"));
    CHECK(
        contains(refusal(tensor({.numel = 5})).message(), "storage `0` has 16 bytes, expected 20"));
    CHECK(contains(refusal(tensor({.key = "7"})).message(), "there is no record `archive/data/7`"));
    CHECK(contains(refusal(tensor({.more = "}" + text("conj") + "\x88s"})).message(),
                   "the conjugate of a tensor of float32"));
  }

  TEST_CASE("wrong arguments are told by their place") {
    struct Row {
      std::string value;
      ErrorCode code;
      std::string text;
    };
    const std::string s = pickle::storage({});
    const std::string v2 = utils("_rebuild_tensor_v2");
    const Row rows[] = {
        {call(v2, {}), ErrorCode::kCorrupt,
         "`torch._utils._rebuild_tensor_v2`: the storage is "
         "missing"},
        {call(v2, {integer(1)}), ErrorCode::kCorrupt, "a tensor without a storage"},
        {call(v2, {s, text("0")}), ErrorCode::kCorrupt, "the storage offset is not an integer"},
        {call(v2, {s, integer(0), integer(4)}), ErrorCode::kCorrupt, "the shape is not a tuple"},
        {call(v2, {s, integer(0), tuple({text("4")}), sizes({1}), boolean(false), kHooks}),
         ErrorCode::kCorrupt, "a size or stride that is no number"},
        {call(v2, {s, integer(0), tuple({"\x8a\x09" + repeat("\x7f", 9)}), sizes({1}),
                   boolean(false), kHooks}),
         ErrorCode::kCorrupt, "a size or stride that is no number"},
        {call(v2, {s, integer(0), sizes({4}), sizes({1}), integer(0), kHooks}), ErrorCode::kCorrupt,
         "requires_grad is not True or False"},
        {call(v2, {s, integer(0), sizes({4}), sizes({1}), boolean(false),
                   ordered_dict({integer(1), integer(2)})}),
         ErrorCode::kUnsupported, "a tensor with backward hooks"},
        {tensor({.more = "}" + text("xyz") + "\x88s"}), ErrorCode::kUnsupported,
         "the metadata `xyz`"},
        {tensor({.more = "]"}), ErrorCode::kCorrupt, "the metadata is not a dict"},
        {tensor({.more = "}N"}), ErrorCode::kUnsupported, "has more arguments than are known"},
        {call(utils("_rebuild_parameter"), {text("data"), boolean(true), kHooks}),
         ErrorCode::kCorrupt, "the data is not a tensor"},
        {v3("float33", 16, 4), ErrorCode::kUnsupported, "the dtype `torch.float33`"},
        {v3("qint8", 16, 4), ErrorCode::kCorrupt, "a tensor of the dtype qint8 without a scale"},
        {tensor({.storage_class = "QInt8Storage", .numel = 16}), ErrorCode::kCorrupt,
         "a tensor of the dtype qint8 without a scale"},
        {tensor() + "K\0Ns"s, ErrorCode::kUnsupported, "is changed after it was made"},
        {tensor() + "Na", ErrorCode::kUnsupported, "is changed after it was made"},
        {tensor() + "}b", ErrorCode::kUnsupported, "a tensor with a state of this kind"},
        {call(utils("_rebuild_parameter_with_state"),
              {tensor(), boolean(true), kHooks, tuple({"N", "}"})}),
         ErrorCode::kUnsupported, "a state other than a dict of attributes"},
        {tensor({.shape = Shape(65, 1), .strides = Shape(65, 1)}), ErrorCode::kUnsupported,
         "a tensor with 65 dimensions, at most 64"},
        {s, ErrorCode::kUnsupported, "a storage that is no tensor's"},
        {text("0") + "Q", ErrorCode::kUnsupported, "a storage that is no tensor's"},
        {call(v2, {call(global("torch.storage", "_load_from_bytes"), {"C\x01x"})}),
         ErrorCode::kUnsupported, "a storage that is kept inside of the pickle"},
        {call(v2, {text("0") + "Q"}), ErrorCode::kUnsupported, "a persistent id that is not"},
        {call(v2, {tuple({text("module"), text(""), text(""), text(""), text("")}) + "Q"}),
         ErrorCode::kCorrupt, "a persistent id that names no storage"},
        {call(v2, {tuple({text("storage"), integer(1), text("0"), text("cpu"), integer(4)}) + "Q"}),
         ErrorCode::kCorrupt, "a storage without a class"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const Error error = refusal(dict({text("w"), row.value}));
      CAPTURE(error.message());
      CHECK(error.code() == row.code);
      CHECK(contains(error.message(), "data.pkl: `w`: "));
      CHECK(contains(error.message(), row.text));
    }
  }

  TEST_CASE("a parameter of a parameter of a parameter has an end") {
    std::string value = tensor();
    for (int i = 0; i < 5; ++i) {
      value = call(utils("_rebuild_parameter"), {value, boolean(true), kHooks});
    }
    CHECK(one_tensor(value).second.is_parameter);
    for (int i = 0; i < 5; ++i) {
      value = call(utils("_rebuild_parameter"), {value, boolean(true), kHooks});
    }
    CHECK(contains(refusal(value).message(), "more than 8 calls for a tensor"));
  }

  TEST_CASE("Python attributes stay with their tensor and are shared and checked as all values") {
    const std::string state = dict({text("tag"), text("decay"), text("other"), tensor()});
    CHECK(values_of(call(utils("_rebuild_parameter_with_state"),
                         {tensor(), boolean(true), kHooks, state})) ==
          "tensor0 @{'tag': 'decay', 'other': tensor1}");
    CHECK(values_of(from_type(global("torch", "Tensor"), state)) ==
          "tensor0 @{'tag': 'decay', 'other': tensor1}");
    const std::string around =
        call(utils("_rebuild_parameter"),
             {from_type(global("torch", "Tensor"), state), boolean(true), kHooks});
    CHECK(contains(refusal(around).message(), "that has attributes of its own"));
  }

  TEST_CASE("the types of plain values are those of Python") {
    struct Row {
      std::string value;
      std::string shown;
    };
    const std::string encode = global("_codecs", "encode");
    const Row rows[] = {
        {list({"N", boolean(true), integer(-7), real(0.5), text("a")}),
         "[None, True, -7, 0.5, 'a']"},
        {"\x8a\x09" + repeat("\x01", 9), "int<010101010101010101>"},
        {call(encode, {text("\xc2\x80\xc3\xbf"
                            "a"),
                       text("latin1")}),
         "b<80ff61>"},
        {call(encode, {text("\xc4\x80"), text("latin1")}), "_codecs.encode('\xc4\x80', 'latin1')"},
        {call(encode, {text("a"), text("utf-16")}), "_codecs.encode('a', 'utf-16')"},
        {call(global("__builtin__", "bytes"), {}), "b<>"},
        {call(global("builtins", "bytearray"), {"C\x01\xff"}), "bytearray<ff>"},
        {call(global("__builtin__", "bytearray"),
              {call(encode, {text("\xc3\xbf"), text("latin1")})}),
         "bytearray<ff>"},
        {call(global("__builtin__", "bytearray"), {text("\xc3\xbf"), text("latin-1")}),
         "bytearray<ff>"},
        {call(global("__builtin__", "bytearray"), {}), "bytearray<>"},
        {call(global("__builtin__", "complex"), {real(0.5), real(0.5)}),
         "complex<000000000000e03f000000000000e03f>"},
        {call(global("__builtin__", "set"), {list({integer(1), integer(2), integer(1)})}),
         "set{1, 2}"},
        {call(global("__builtin__", "frozenset"), {list({integer(1)})}), "frozenset{1}"},
        {call(global("builtins", "set"), {}), "set{}"},
        {"\x8f(" + integer(1) + real(1) + boolean(true) + "\x90", "set{1}"},
        {call(global("torch", "Size"), {tuple({integer(2), integer(3)})}), "Size(2, 3)"},
        {call(global("torch", "Size"), {tuple({})}), "Size()"},
        {global("torch", "float16"), "float16"},
        {global("torch", "strided"), "torch.strided"},
        {global("m", "C"), "m.C"},
        {global("__builtin__", "long"), "builtins.int"},
        {call(global("torch", "device"), {text("cuda"), integer(1)}), "device<cuda:1>"},
        {call(global("torch", "device"), {text("cpu")}), "device<cpu>"},
        {call(global("collections", "Counter"), {dict({text("a"), integer(1)})}),
         "Counter{'a': 1}"},
        {call(global("collections", "defaultdict"), {global("__builtin__", "list")}) + text("a") +
             "]s",
         "defaultdict<builtins.list>{'a': []}"},
        {call(global("collections", "defaultdict"), {"N"}), "defaultdict<>{}"},
        {call(global("collections", "defaultdict"), {}), "defaultdict<>{}"},
        {ordered_dict({text("z"), integer(1), text("a"), integer(2)}),
         "OrderedDict{'z': 1, 'a': 2}"},
        {call(global("collections", "OrderedDict"),
              {list({list({text("b"), integer(1)}), list({text("a"), integer(2)})})}),
         "OrderedDict{'b': 1, 'a': 2}"},
        {ordered_dict({text("w"), integer(1)}) +
             dict({text("_metadata"),
                   ordered_dict({text(""), dict({text("version"), integer(2)})})}) +
             "b",
         "OrderedDict{'w': 1} @{'_metadata': OrderedDict{'': {'version': 2}}}"},
        {call(global("torch.serialization", "_get_layout"), {text("torch.strided")}),
         "object torch.serialization._get_layout('torch.strided')"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.shown);
      CHECK(values_of(row.value) == row.shown);
    }
  }

  TEST_CASE("equal keys are one key: the first one stays with the last value") {
    struct Row {
      std::string value;
      std::string shown;
    };
    const std::string nan = "G\x7f\xf8" + repeat(std::string(1, '\0'), 6);
    const std::string one_two = tuple({integer(1), integer(2)});
    const Row rows[] = {
        {dict({text("a"), integer(1), text("b"), integer(2), text("a"), integer(3)}),
         "{'a': 3, 'b': 2}"},
        {dict({integer(1), text("x"), real(1), text("y"), boolean(true), text("z")}), "{1: 'z'}"},
        {dict({real(-0.0), text("x"), integer(0), text("y"), boolean(false), text("z")}),
         "{-0: 'z'}"},
        {dict({real(1.5), integer(1), real(1.5), integer(2), real(2.5), integer(3)}),
         "{1.5: 2, 2.5: 3}"},
        {dict({nan, integer(1), nan, integer(2)}), "{nan: 1, nan: 2}"},
        {dict({"N", integer(1), "N", integer(2)}), "{None: 2}"},
        {dict({text("1"), integer(1), integer(1), integer(2),
               "C\x01"
               "1",
               integer(3)}),
         "{'1': 1, 1: 2, b<31>: 3}"},
        {dict({one_two, integer(1), call(global("torch", "Size"), {one_two}), integer(2)}),
         "{(1, 2): 2}"},
        {dict({tuple({integer(1), tuple({integer(2)})}), integer(1),
               tuple({real(1), tuple({boolean(true)})}), integer(2),
               tuple({integer(1), tuple({real(2)})}), integer(3)}),
         "{(1, (2)): 3, (1, (True)): 2}"},
        // What is put together must not depend on where one part ends.
        {dict({tuple({text("a"), text("bc")}), integer(1), tuple({text("ab"), text("c")}),
               integer(2)}),
         "{('a', 'bc'): 1, ('ab', 'c'): 2}"},
        {dict({"(K\1K\2\x91", integer(1), "(K\2K\1\x91", integer(2)}), "{frozenset{1, 2}: 2}"},
        {dict({global("torch", "float16"), integer(1), global("torch", "float16"), integer(2)}),
         "{float16: 2}"},
        {dict({global("m", "C"), integer(1), global("m", "C"), integer(2), global("m", "D"),
               integer(3)}),
         "{m.C: 2, m.D: 3}"},
        {dict({call(global("m", "C"), {}), integer(1), call(global("m", "C"), {}), integer(2)}),
         "{m.C(): 1, m.C(): 2}"},
        {ordered_dict({text("a"), integer(1), text("a"), integer(2)}), "OrderedDict{'a': 2}"},
        {call(global("collections", "OrderedDict"),
              {list({list({text("a"), integer(1)}), list({text("b"), integer(2)})})}) +
             text("a") + integer(3) + "s",
         "OrderedDict{'a': 3, 'b': 2}"},
        {dict({pickle::long1(repeat("\1", 9)), integer(1), pickle::long1(repeat("\1", 9)),
               integer(2)}),
         "{int<010101010101010101>: 2}"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.shown);
      CHECK(values_of(row.value) == row.shown);
    }
  }

  TEST_CASE("what Python cannot hash is no key") {
    const Error by_list = refusal(dict({text("a"), dict({"]", integer(1)})}));
    CHECK(by_list.code() == ErrorCode::kCorrupt);
    CHECK(contains(by_list.message(), "`a`: a list cannot be a key or an item of a set"));
    CHECK(refusal(dict({"}", "N"})).code() == ErrorCode::kCorrupt);
    CHECK(refusal(dict({tuple({"]"}), "N"})).code() == ErrorCode::kCorrupt);
    CHECK(refusal("\x8f(]\x90").code() == ErrorCode::kCorrupt);
  }

  TEST_CASE("the class of a module that was saved whole is named by its persistent id") {
    const auto named = [](const std::string& what) {
      return tuple({text(what), global("my.net", "Net"), "N", "N"}) + "Q";
    };
    CHECK(values_of(named("module")) == "my.net.Net");
    CHECK(values_of(named("module") + ")\x81}" + text("w") + tensor() + "sb") ==
          "my.net.Net() <- {'w': tensor0}");
    CHECK(contains(refusal(named("class")).message(), "a storage that is no tensor's"));
    CHECK(contains(refusal(tuple({text("module"), text("Net"), "N", "N"}) + "Q").message(),
                   "a storage that is no tensor's"));
  }

  TEST_CASE("objects of classes that are plain data are known as such") {
    struct Row {
      const char* module;
      const char* name;
      bool is_known;
    };
    const Row rows[] = {
        {"pathlib", "PosixPath", true},
        {"pathlib._local", "WindowsPath", true},
        {"pathlib", "Path.cwd", false},
        {"datetime", "datetime", true},
        {"datetime", "datetime.now", false},
        {"numpy.core.multiarray", "scalar", true},
        {"numpy._core.multiarray", "_reconstruct", true},
        {"numpy", "dtype", true},
        {"numpy", "ndarray", false},
        {"numpy.dtypes", "Float64DType", true},
        {"uuid", "UUID", true},
        {"uuid", "uuid4", false},
        {"decimal", "Decimal", true},
        {"fractions", "Fraction", true},
        {"types", "SimpleNamespace", true},
        {"types", "FunctionType", false},
        {"my.module", "Namespace", false},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const std::string shown = values_of(call(global(row.module, row.name), {integer(1)}));
      CHECK(shown ==
            (row.is_known ? "object " : "") + std::string(row.module) + "." + row.name + "(1)");
    }
    CHECK(values_of(call(global("argparse", "Namespace"), {}) + dict({text("w"), tensor()}) +
                    "b") == "object argparse.Namespace() <- {'w': tensor0}");
  }

  TEST_CASE("objects of unknown classes are opaque, and what is inside them is found") {
    struct Row {
      std::string value;
      std::string shown;
    };
    const std::string namespace_class = global("argparse", "Namespace");
    const Row rows[] = {
        {namespace_class + ")\x81" + dict({text("lr"), real(0.5)}) + "b",
         "object argparse.Namespace() <- {'lr': 0.5}"},
        {call(global("m", "C"), {tensor()}), "m.C(tensor0)"},
        {global("m", "C") + ")\x81" + dict({text("w"), tensor()}) + "b", "m.C() <- {'w': tensor0}"},
        {global("m", "C") + ")" + dict({text("w"), tensor()}) + "\x92", "m.C()(**{'w': tensor0})"},
        {call(global("m", "List"), {}) + tensor() + "a", "m.List() += [tensor0]"},
        {call(global("m", "Dict"), {}) + text("k") + tensor() + "s", "m.Dict() |= {'k': tensor0}"},
        {call(global("m", "Dict"), {}) + text("k") + integer(1) + "s" + text("k") + integer(2) +
             "s",
         "m.Dict() |= {'k': 2}"},
        {call(call(global("m", "f"), {integer(1)}), {tensor()}), "operator.call(m.f(1), tensor0)"},
        {call(global("__builtin__", "getattr"), {global("m", "Color"), text("RED")}),
         "builtins.getattr(m.Color, 'RED')"},
        // Types that are known, called in a way their own pickles never use.
        {call(global("collections", "OrderedDict"), {integer(1)}), "collections.OrderedDict(1)"},
        {call(global("collections", "OrderedDict"), {list({integer(1)})}),
         "collections.OrderedDict([1])"},
        {call(global("collections", "defaultdict"), {call(global("m", "f"), {})}) + text("k") +
             tensor() + "s",
         "collections.defaultdict(m.f()) |= {'k': tensor0}"},
        {call(global("collections", "OrderedDict"), {}) + tuple({"N", "}"}) + "b",
         "collections.OrderedDict() <- (None, {})"},
        {call(global("builtins", "set"), {list({integer(1)})}) + "}b", "builtins.set([1]) <- {}"},
        {call(global("torch", "device"), {integer(0)}), "torch.device(0)"},
        {call(global("builtins", "complex"), {integer(1), integer(2)}), "builtins.complex(1, 2)"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.shown);
      CHECK(values_of(row.value) == row.shown);
    }
  }

  TEST_CASE("what is shared is one node, and names of classes share their text") {
    const auto found = open_value(
        list({"]" + put(9), get(9), call(global("m", "C") + put(8), {}), call(get(8), {})}));
    REQUIRE_MESSAGE(found, message_of(found));
    const ValueGraph& graph = found->values;
    const auto items = graph.items(graph.root());
    CHECK(items[0] == items[1]);
    CHECK(items[2] != items[3]);
    CHECK(graph.node(items[2]).text_begin == graph.node(items[3]).text_begin);
    CHECK(graph.text(items[3]) == "m\nC");
  }

  TEST_CASE("children stand before their parents, the root last, and nothing is left over") {
    const auto found =
        open_value(dict({text("a"), list({tensor(), call(global("m", "C"), {"]"}) + "}b"}),
                         text("b"), ordered_dict({text("k"), "N"}) + "}b"}),
                   {{"0", noise(16)}});
    REQUIRE_MESSAGE(found, message_of(found));
    const ValueGraph& graph = found->values;
    std::vector<bool> has_parent(graph.size());
    for (std::uint32_t node = 0; node < graph.size(); ++node) {
      for (const std::uint32_t child : graph.children(node)) {
        CHECK(child < node);
        has_parent[child] = true;
      }
    }
    CHECK(std::ranges::count(has_parent, false) == 1);
    CHECK_FALSE(has_parent[graph.root()]);
  }

  TEST_CASE("an object that refers to one around it names it") {
    const std::string outer = "m.C('a reference to the object around it')";
    const std::string with_itself = "m.C() <- {'self': " + outer + "}";
    const std::string made = call(global("m", "C"), {}) + put(0);
    CHECK(values_of(made + get(0) + "b") == "m.C() <- " + outer);
    CHECK(values_of(made + dict({text("self"), get(0)}) + "b") == with_itself);
    CHECK(values_of(made +
                    dict({text("child"),
                          call(global("m", "D"), {}) + dict({text("parent"), get(0)}) + "b"}) +
                    "b") == "m.C() <- {'child': m.D() <- {'parent': " + outer + "}}");
    CHECK(
        values_of(ordered_dict({}) + put(0) + dict({text("self"), get(0)}) + "b") ==
        "OrderedDict{} @{'self': collections.OrderedDict('a reference to the object around it')}");
    // Beside it the object is shared as ever.
    CHECK(values_of(list({made + dict({text("self"), get(0)}) + "b", get(0)})) ==
          "[" + with_itself + ", " + with_itself + "]");
  }

  TEST_CASE("a list, a dict or a tuple that contains itself is refused") {
    const std::string rows[] = {
        "]" + put(0) + get(0) + "a",
        "}" + put(0) + text("self") + get(0) + "s",
        "]" + put(0) + "(" + get(0) + "ta",
        "}" + put(0) + "0" +
            call(utils("_rebuild_parameter_with_state"),
                 {tensor(), boolean(true), kHooks, get(0)}) +
            put(1) + "0" + get(0) + text("t") + get(1) + "s",
    };
    for (const std::string& value : rows) {
      const Error error = refusal(value);
      CAPTURE(error.message());
      CHECK(error.code() == ErrorCode::kUnsupported);
      CHECK(contains(error.message(), "an object that refers to itself"));
    }
  }

  TEST_CASE("messages lead to the place through keys and positions") {
    const std::string bad = call(utils("_rebuild_qtensor"), {});
    const std::string state = dict({text("_parameters"), ordered_dict({text("weight"), bad})});
    const std::pair<std::string, std::string> rows[] = {
        {dict({text("model"), list({"N", dict({integer(7), bad})})}), "data.pkl: `model.1.7`: "},
        {dict({text("net"), global("m", "Net") + ")\x81" + state + "b"}),
         "data.pkl: `net._parameters.weight`: "},
        {ordered_dict({text("a.b"), bad}), "data.pkl: `a.b`: "},
        {bad, "data.pkl: `torch._utils._rebuild_qtensor`: "},
        {dict({text("evil\x1b[2J"), bad}), "data.pkl: `evil\\x1b[2J`: "},
    };
    for (const auto& row : rows) {
      const auto& [value, part] = row;
      CAPTURE(row.second);
      CHECK(contains(refusal(value).message(), part));
    }
  }

  TEST_CASE("values nested a thousand levels deep are read, one more is refused") {
    const auto nested = [](std::size_t levels) {
      return repeat("]", levels) + repeat("a", levels - 1);
    };
    CHECK(open_value(nested(1000)));
    const Error error = refusal(nested(1001));
    CHECK(error.code() == ErrorCode::kUnsupported);
    CHECK(contains(error.message(), "nested deeper than 1000 levels"));
  }

  TEST_CASE("devices that tensors were saved from are told") {
    const std::string four(16, '\0');
    const auto found = open_value(
        list({tensor({.key = "0", .location = "cuda:1"}), tensor({.key = "1", .location = "cpu"}),
              tensor({.key = "2", .location = "mps"})}),
        {{"0", four}, {"1", four}, {"2", four}});
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->locations == std::set<std::string>{"cuda:1", "mps"});
  }

  TEST_CASE("a persistent id that nothing uses is not read beyond its last part") {
    const std::string short_id = tuple({text("storage"), integer(1), integer(2)}) + "Q0";
    const auto found = open_value(short_id + list({text("cuda:7")}));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->locations.empty());
  }

  TEST_CASE("a pickle that unfolds to much more than it weighs is refused") {
    struct Row {
      std::string name;
      std::string value;
    };
    const std::string ones = repeat("K\x01", 4'000);
    const std::string pairs = repeat(tuple({integer(1), integer(2)}), 1'000);
    const std::string rank_64 =
        call(utils("_rebuild_meta_tensor_no_storage"),
             {global("torch", "int8"), sizes(Shape(64, 1)) + put(1), get(1), boolean(false)});
    const std::string key = text(std::string(50'000, 'k'));
    const Row rows[] = {
        {"one list in a thousand sets", global("builtins", "set") + put(0) + "](" + ones + "e\x85" +
                                            put(1) + "00](" + repeat(get(0) + get(1) + "R", 1000) +
                                            "e"},
        {"one list in a thousand OrderedDicts", global("collections", "OrderedDict") + put(0) +
                                                    "](" + pairs + "e\x85" + put(1) + "00](" +
                                                    repeat(get(0) + get(1) + "R", 1000) + "e"},
        {"one list in OrderedDicts inside of each other",
         global("collections", "OrderedDict") + put(0) + "](" + pairs + "e\x85" + put(1) + "00](" +
             repeat(get(0) + get(1) + "R" + text("k"), 900) + "N" + repeat("s", 900) + "e"},
        {"the sizes of one tensor for ten thousand",
         rank_64 + "0" + utils("_rebuild_meta_tensor_no_storage") + put(0) +
             tuple({global("torch", "int8"), get(1), get(1), boolean(false)}) + put(1) + "00](" +
             repeat(get(0) + get(1) + "R", 10'000) + "e"},
        {"a long class name for ten thousand objects", global("m", std::string(1'000, 'C')) +
                                                           put(0) + "0](" +
                                                           repeat(get(0) + ")R", 50'000) + "e"},
        {"a long key in ten thousand dicts",
         key + put(0) + "0](" + repeat("}" + get(0) + "Ns", 10'000) + "e"},
        {"a key of doubled tuples", laughs_key()},
        {"a deep key in ten thousand dicts", text(std::string(2'000, 'k')) + repeat("\x85", 45) +
                                                 put(0) + "0](" +
                                                 repeat("}" + get(0) + "Ns", 10'000) + "e"},
        {"one deep key ten thousand times in a dict", text(std::string(2'000, 'k')) +
                                                          repeat("\x85", 45) + put(0) + "0}(" +
                                                          repeat(get(0) + "N", 10'000) + "u"},
        {"a text that is no latin1 at its end, encoded ten thousand times",
         global("_codecs", "encode") + put(0) + "0" +
             tuple({text(std::string(50'000, 'k') + "\xE2\x82\xAC"), text("latin1")}) + put(1) +
             "0](" + repeat(get(0) + get(1) + "R", 10'000) + "e"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.name);
      const Error error = refusal(row.value);
      CAPTURE(error.message());
      CHECK(error.code() == ErrorCode::kUnsupported);
      CHECK(contains(error.message(), "unfolds to more than 16 times its"));
    }
  }

  TEST_CASE("shared containers cost nothing") {
    std::string laughs = "]" + put(0) + "0";
    for (int i = 0; i < 900; ++i)
      laughs += "](" + repeat(get(0), 10) + "e" + put(0) + "0";
    const auto found = open_value(laughs + get(0));
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(found->values.size() == 901);
  }
}

}  // namespace
}  // namespace weightmap::tests
