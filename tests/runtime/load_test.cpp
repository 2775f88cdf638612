// SPDX-License-Identifier: Apache-2.0
// What load and bind share, and where they differ. What PyTorch does is in
// load_state_dict_test.cpp and in tests/modules.
#include "weightmap/load.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/save.h"

#include "format/index_view.h"
#include "support/built_file.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::TempDir;
using tests::tensor_in;
using Floats = std::vector<float>;
using Strings = std::vector<std::string>;

struct Linear : Module {
  Linear() = default;
  Linear(Module& parent, std::string_view name) : Module(parent, name) {}
  Parameter<float> weight{*this, "weight", {2, 2}};
  Parameter<float> bias{*this, "bias", {2}};
};

struct Net : Module {
  Linear fc{*this, "fc"};
  Linear head{*this, "head"};
};

StateTensor floats(std::vector<std::int64_t> shape, const Floats& values) {
  return StateTensor::copy_of<float>(std::move(shape), values);
}

StateTensor numbers(std::vector<std::int64_t> shape, const std::vector<std::int64_t>& values) {
  return StateTensor::copy_of<std::int64_t>(std::move(shape), values);
}

StateDict sample() {
  StateDict state_dict;
  state_dict.set("fc.weight", floats({2, 2}, {1, 2, 3, 4}));
  state_dict.set("fc.bias", floats({2}, {5, 6}));
  state_dict.set("head.weight", floats({2, 2}, {7, 8, 9, 10}));
  state_dict.set("head.bias", floats({2}, {11, 12}));
  return state_dict;
}

// The weights of both layers in one file, for whose bytes the test has a name.
WeightFile sample_file(const Floats& fc_weight, const Floats& fc_bias, std::string_view layer) {
  format::Content content;
  content.tensors = {tensor_in(0, std::string(layer) + ".weight", {2, 2}),
                     tensor_in(1, std::string(layer) + ".bias", {2})};
  return open_built(build_file(content, {bytes_of(fc_weight), bytes_of(fc_bias)}));
}

Floats values_of(const Parameter<float>& slot) {
  return {slot.values().begin(), slot.values().end()};
}

Strings errors_of(const LoadReport& report) {
  Strings lines;
  std::string text = report.text();
  for (std::size_t at = text.find("\n\t"); at != std::string::npos; at = text.find("\n\t")) {
    text.erase(0, at + 2);
    lines.push_back(text.substr(0, text.find("\n\t")));
  }
  return lines;
}

TEST_SUITE_BEGIN("runtime/load");

TEST_CASE("a load gives slots memory of their own and copies into it") {
  Net net;
  const StateDict given = sample();
  const LoadReport report = net.load_state_dict(given);
  REQUIRE(report.ok());
  CHECK(report.text() == "loaded 4 tensors, 0 missing, 0 unexpected");
  CHECK(values_of(net.fc.weight) == Floats{1, 2, 3, 4});
  CHECK(net.fc.weight.bytes() != given.find("fc.weight")->tensor()->view().data());
  REQUIRE(net.fc.weight.mutable_values().size() == 4);
  net.fc.weight.mutable_values()[0] = 100;
  CHECK(net.fc.weight[0] == 100);
  CHECK(given.find("fc.weight")->tensor()->view().values<float>().value()[0] == 1);
}

TEST_CASE("a second load copies into the memory that is there") {
  Net net;
  REQUIRE(net.load_state_dict(sample()).ok());
  const std::byte* const before = net.fc.bias.bytes();
  StateDict changed = sample();
  changed.set("fc.bias", numbers({2}, {-5, -6}));
  REQUIRE(net.load_state_dict(changed).ok());
  CHECK(net.fc.bias.bytes() == before);
  CHECK(values_of(net.fc.bias) == Floats{-5, -6});
}

TEST_CASE("a load goes into the caller's buffer with its strides") {
  Net net;
  std::array<float, 8> buffer{};
  net.fc.weight.use_buffer(reinterpret_cast<std::byte*>(buffer.data()),
                           std::vector<std::int64_t>{1, 4});
  REQUIRE(net.load_state_dict(sample()).ok());
  CHECK(buffer == std::array<float, 8>{1, 3, 0, 0, 2, 4, 0, 0});
  CHECK(net.fc.weight.bytes() == reinterpret_cast<const std::byte*>(buffer.data()));
}

TEST_CASE("a load into a module that was bound leaves the file and lets go of it") {
  Net net;
  std::weak_ptr<tests::AlignedBytes> bytes;
  {
    format::Content content;
    content.tensors = {tensor_in(0, "fc.weight", {2, 2})};
    const auto built = build_file(content, {bytes_of(Floats{1, 1, 1, 1})});
    bytes = built;
    REQUIRE(bind(net, open_built(built), {.strict = false}).ok());
  }
  CHECK_FALSE(bytes.expired());
  CHECK(net.fc.weight.mutable_bytes() == nullptr);
  REQUIRE(net.load_state_dict(sample()).ok());
  CHECK(bytes.expired());
  CHECK(net.fc.weight.mutable_bytes() != nullptr);
}

TEST_CASE("a file loads without a state dict between, casting, resolving, from any strides") {
  struct Mixed : Module {
    Parameter<float> turned{*this, "turned", {2, 2}};
    Parameter<double> narrow{*this, "narrow", {2}};
    Buffer<std::int64_t> count{*this, "count", {}};
    Parameter<std::complex<float>> conj{*this, "conj", {1}};
  } net;
  format::Content content;
  content.tensors = {tensor_in(0, "turned", {2, 2}), tensor_in(1, "narrow", {2}, Dtype::kInt8),
                     tensor_in(2, "count", {1}, Dtype::kFloat32),
                     tensor_in(3, "conj", {1}, Dtype::kComplex64)};
  content.tensors[0].strides = {1, 2};
  content.tensors[3].flags = format::kConj;
  const WeightFile file = open_built(build_file(
      content, {bytes_of(Floats{1, 2, 3, 4}), bytes_of(std::vector<std::int8_t>{-1, 7}),
                bytes_of(Floats{3.75F}), bytes_of(std::vector<std::complex<float>>{{1, 2}})}));
  CHECK_FALSE(bind(net, file).ok());
  CHECK_FALSE(net.count.is_bound());
  const LoadReport report = load(net, file);
  REQUIRE_MESSAGE(report.ok(), report.text());
  CHECK(values_of(net.turned) == Floats{1, 3, 2, 4});
  CHECK(net.narrow[0] == -1.0);
  CHECK(net.count[0] == 3);
  CHECK(net.conj[0] == std::complex<float>(1, -2));
  CHECK(report.origin(0) == "built");
  CHECK(report.matched(2) == "conj");
}

TEST_CASE("nothing changes when anything is wrong, in both modes and from both sources") {
  StateDict wrong = sample();
  wrong.set("head.bias", floats({3}, {1, 2, 3}));
  for (const bool assign : {false, true}) {
    CAPTURE(assign);
    Net net;
    net.fc.weight.allocate();
    const LoadReport report = net.load_state_dict(wrong, {.assign = assign});
    CHECK_FALSE(report.ok());
    CHECK(values_of(net.fc.weight) == Floats{0, 0, 0, 0});
    CHECK_FALSE(net.fc.bias.is_bound());
    CHECK_FALSE(net.head.weight.is_bound());
  }
}

TEST_CASE("a bind to a state dict points to its bytes and keeps them") {
  Net net;
  StateDict given = sample();
  const std::byte* const data = given.find("fc.weight")->tensor()->view().data();
  REQUIRE(net.load_state_dict(given, {.assign = true}).ok());
  given.clear();
  CHECK(net.fc.weight.bytes() == data);
  CHECK(net.fc.weight.mutable_bytes() == nullptr);
  CHECK(values_of(net.fc.weight) == Floats{1, 2, 3, 4});
}

TEST_CASE("several files are one to a module, the later over the earlier, and each is told") {
  const WeightFile base = sample_file({1, 2, 3, 4}, {5, 6}, "fc");
  const WeightFile head = sample_file({7, 8, 9, 10}, {11, 12}, "head");
  const WeightFile tuned = sample_file({-1, -2, -3, -4}, {-5, -6}, "fc");
  for (const bool is_bind : {false, true}) {
    CAPTURE(is_bind);
    Net net;
    const std::array files{base, head, tuned};
    const LoadReport report = is_bind ? bind_files(net, files) : load_files(net, files);
    REQUIRE_MESSAGE(report.ok(), report.text());
    CHECK(values_of(net.fc.weight) == Floats{-1, -2, -3, -4});
    CHECK(values_of(net.head.bias) == Floats{11, 12});
    if (is_bind) CHECK(net.fc.weight.bytes() == tuned.find("fc.weight")->data());
  }
  Net net;
  const std::array incomplete{base, tuned};
  CHECK(errors_of(bind_files(net, incomplete)) ==
        Strings{"Missing key(s) in state_dict: \"head.weight\", \"head.bias\". "});
}

TEST_CASE("a part of a state dict loads into a subtree") {
  Linear layer;
  REQUIRE(load(layer, sample(), {.prefix = "head."}).ok());
  CHECK(values_of(layer.bias) == Floats{11, 12});
  Net net;
  REQUIRE(net.head.load_state_dict(sample(), {.prefix = "fc."}).ok());
  CHECK(values_of(net.head.bias) == Floats{5, 6});
  CHECK_FALSE(net.fc.bias.is_bound());
}

TEST_CASE("sizes that do not match are an error, or skipped and reported") {
  StateDict wrong = sample();
  wrong.set("fc.bias", floats({3}, {1, 2, 3}));
  const std::string message =
      "size mismatch for fc.bias: copying a param with shape torch.Size([3]) from checkpoint, the "
      "shape in current model is torch.Size([2]).";
  for (const bool assign : {false, true}) {
    CAPTURE(assign);
    Net strict;
    CHECK(errors_of(strict.load_state_dict(wrong, {.strict = false, .assign = assign})) ==
          Strings{message});
    Net net;
    const LoadReport report =
        net.load_state_dict(wrong, {.assign = assign, .ignore_mismatched_sizes = true});
    REQUIRE_MESSAGE(report.ok(), report.text());
    REQUIRE(report.mismatched().size() == 1);
    CHECK(report.mismatched()[0].text == message);
    CHECK_FALSE(net.fc.bias.is_bound());
    CHECK(net.fc.weight.is_bound());
  }
}

TEST_CASE("a load that is not strict and matches nothing says so, unless that is allowed") {
  StateDict other;
  other.set("module.fc.weight", floats({2, 2}, {1, 2, 3, 4}));
  Net net;
  const LoadReport report = net.load_state_dict(other, {.strict = false});
  CHECK(errors_of(report) == Strings{"strict=false matched 0 of 4 keys: nothing was loaded"});
  CHECK(report.missing().size() == 4);
  CHECK(net.load_state_dict(other, {.strict = false, .allow_nothing = true}).ok());
  Module empty;
  CHECK(empty.load_state_dict(other, {.strict = false}).ok());
}

TEST_CASE("a lazy slot takes shape and dtype of the first tensor that comes") {
  for (const bool assign : {false, true}) {
    CAPTURE(assign);
    Module net;
    Slot lazy({.lazy = true});
    net.register_parameter("weight", lazy);
    CHECK(net.state_dict().find("weight")->tensor()->view().is_uninitialized());
    StateDict given;
    given.set("weight", numbers({3}, {1, 2, 3}));
    REQUIRE(net.load_state_dict(given, {.assign = assign}).ok());
    CHECK(lazy.dtype() == Dtype::kInt64);
    CHECK(std::ranges::equal(lazy.shape(), std::array<std::int64_t, 1>{3}));
    CHECK(reinterpret_cast<const std::int64_t*>(lazy.bytes())[2] == 3);
    given.set("weight", numbers({2}, {1, 2}));
    CHECK(errors_of(net.load_state_dict(given, {.assign = assign})).size() == 1);
  }
}

TEST_CASE("a lazy slot stays lazy when the other side is, another cannot take that") {
  StateDict given;
  given.set("weight",
            StateTensor::over({.shape = {}, .flags = format::kUninitialized}, nullptr, nullptr));
  Module net;
  Slot lazy({.lazy = true});
  net.register_parameter("weight", lazy);
  CHECK(net.load_state_dict(given).ok());
  CHECK(lazy.is_lazy());
  Module usual;
  Slot slot({.shape = {2}});
  usual.register_parameter("weight", slot);
  CHECK(errors_of(usual.load_state_dict(given)) ==
        Strings{"values mismatch for weight: the file's tensor is a lazy parameter without a "
                "shape."});
}

TEST_CASE("a slot that takes any dtype has that of what it is bound to, and keeps it in a load") {
  Module net;
  Slot any({.shape = {2}, .any_dtype = true});
  net.register_parameter("weight", any);
  StateDict given;
  given.set("weight", numbers({2}, {1, 2}));
  REQUIRE(net.load_state_dict(given).ok());
  CHECK(any.dtype() == Dtype::kFloat32);
  CHECK(reinterpret_cast<const float*>(any.bytes())[1] == 2.0F);
  REQUIRE(net.load_state_dict(given, {.assign = true}).ok());
  CHECK(any.dtype() == Dtype::kInt64);
}

TEST_CASE("ties of one side only are told") {
  struct Tied : Module {
    Linear fc{*this, "fc"};
    Tied() { register_module("head", fc); }
  };
  using Kind = TieDifference::Kind;
  Tied tied;
  const LoadReport loaded = tied.load_state_dict(sample());
  REQUIRE(loaded.ok());
  CHECK(values_of(tied.fc.bias) == Floats{11, 12});
  const auto only_in_module = loaded.tie_differences();
  REQUIRE(only_in_module.size() == 2);
  CHECK(only_in_module[0].kind == Kind::kOnlyInModule);
  CHECK(only_in_module[0].key == "head.weight");
  CHECK(only_in_module[0].other == "fc.weight");
  CHECK(errors_of(tied.load_state_dict(sample(), {.assign = true})).size() == 2);

  StateDict shared = sample();
  shared.set("head.bias", *shared.find("fc.bias"));
  Net net;
  const auto only_in_file = net.load_state_dict(shared, {.assign = true}).tie_differences();
  REQUIRE(only_in_file.size() == 1);
  CHECK(only_in_file[0].kind == Kind::kOnlyInFile);
  CHECK(only_in_file[0].key == "head.bias");
  CHECK(only_in_file[0].other == "fc.bias");
  CHECK(tied.load_state_dict(tied.state_dict()).tie_differences().empty());
}

TEST_CASE("a slot under two names is one with views that only say its place in other words") {
  for (const std::int64_t size : {0, 1}) {
    CAPTURE(size);
    Module net;
    Slot slot({.shape = size == 0 ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>{}});
    net.register_parameter("a", slot);
    net.register_parameter("b", slot);
    const Floats one(1, 5.0F);
    const auto* const data = reinterpret_cast<const std::byte*>(one.data());
    StateDict given;
    given.set("a",
              StateTensor::over({.shape = {slot.shape().begin(), slot.shape().end()}}, data, {}));
    given.set("b", StateTensor::over({.shape = {size}}, size == 0 ? data + 4 : data, {}));
    const LoadReport report = net.load_state_dict(given, {.assign = true});
    CHECK_MESSAGE(report.ok(), report.text());
  }
}

TEST_CASE("bytes that are one under two dtypes are two tensors to a slot that takes any") {
  Module net;
  Slot slot({.shape = {1}, .any_dtype = true});
  net.register_parameter("a", slot);
  net.register_parameter("b", slot);
  const Floats one(1, 5.0F);
  const auto* const data = reinterpret_cast<const std::byte*>(one.data());
  StateDict given;
  given.set("a", StateTensor::over({.shape = {1}}, data, {}));
  given.set("b", StateTensor::over({.dtype = Dtype::kInt32, .shape = {1}}, data, {}));
  CHECK(errors_of(net.load_state_dict(given, {.assign = true})) ==
        Strings{"tie mismatch for b: it is one with a in the module, but not in the file."});
}

TEST_CASE("a load from views of the module's own memory copies what was there before") {
  Net net;
  REQUIRE(net.load_state_dict(sample()).ok());
  StateDict turned = net.state_dict();
  const StateTensor& weight = *turned.find("fc.weight")->tensor();
  turned.set("fc.weight",
             StateTensor::over({.shape = {2, 2}, .strides = std::vector<std::int64_t>{1, 2}},
                               weight.view().data(), weight.owner()));
  turned.set("fc.bias", turned.find("fc.bias")->tensor()->with_flags(format::kNeg));
  REQUIRE(net.load_state_dict(turned).ok());
  CHECK(values_of(net.fc.weight) == Floats{1, 3, 2, 4});
  CHECK(values_of(net.fc.bias) == Floats{-5, -6});
}

TEST_CASE("unexpected extra state comes before a module's other keys, from both sources") {
  StateDict given = sample();
  given.set("fc.z", floats({1}, {1}));
  given.set("fc._extra_state", floats({1}, {1}));
  format::Content content;
  std::vector<std::vector<std::byte>> segments;
  for (const auto& [name, item] : given) {
    const TensorView& view = item.tensor()->view();
    content.tensors.push_back(tensor_in(static_cast<std::uint32_t>(segments.size()), name,
                                        {view.shape().begin(), view.shape().end()}));
    segments.emplace_back(view.extent().begin(), view.extent().end());
  }
  const WeightFile file = open_built(build_file(content, segments));
  Net net;
  const Strings expected{"Unexpected key(s) in state_dict: \"fc._extra_state\", \"fc.z\". "};
  CHECK(errors_of(net.load_state_dict(given)) == expected);
  CHECK(errors_of(net.load_state_dict(file)) == expected);
}

TEST_CASE("a module loads what it is, and stays") {
  Net net;
  REQUIRE(net.load_state_dict(sample()).ok());
  REQUIRE(net.load_state_dict(net.state_dict()).ok());
  CHECK(values_of(net.head.weight) == Floats{7, 8, 9, 10});
}

TEST_CASE("a list of slots loads as one binds") {
  Slot weight({.shape = {2, 2}});
  const std::array slots{FreeSlot{.name = "fc.weight", .slot = &weight}};
  const WeightFile file = sample_file({1, 2, 3, 4}, {5, 6}, "fc");
  REQUIRE(load_slots(slots, file, {.strict = false}).ok());
  CHECK(weight.mutable_bytes() != nullptr);
  CHECK(reinterpret_cast<const float*>(weight.bytes())[3] == 4.0F);
}

TEST_CASE("what cannot be copied is told as PyTorch does, with every other error") {
  Net net;
  StateDict given = sample();
  given.set("fc.weight", StateTensor::over({.shape = {2, 2}, .flags = format::kMeta}, nullptr, {}));
  given.set("fc.bias", StateValue::of_text("no tensor"));
  given.set("head.bias",
            StateTensor::copy_of_bytes(Dtype::kQUInt8, {2}, std::vector<std::byte>(2)));
  CHECK(
      errors_of(net.load_state_dict(given)) ==
      Strings{"While copying the parameter named \"fc.weight\", whose dimensions in the model are "
              "torch.Size([2, 2]) and whose dimensions in the checkpoint are torch.Size([2, 2]), "
              "an exception occurred : ('Cannot copy out of meta tensor; no data!',).",
              "While copying the parameter named \"fc.bias\", expected torch.Tensor or "
              "Tensor-like object from checkpoint but received <class 'str'>",
              "While copying the parameter named \"head.bias\", whose dimensions in the model are "
              "torch.Size([2]) and whose dimensions in the checkpoint are torch.Size([2]), an "
              "exception occurred : ('no conversion from quint8 to float32',)."});
}

TEST_CASE("a load that fails has its diagnosis, from both sources") {
  StateDict wrapped;
  for (const auto& [name, item] : sample())
    wrapped.set("module." + name, item);
  Net net;
  const Diagnosis of_dict = net.load_state_dict(wrapped).diagnosis();
  CHECK(of_dict.remedy.strip_prefix == "module.");
  CHECK(of_dict.mended == 4);
  const Diagnosis of_file = bind(net, sample_file({1, 2, 3, 4}, {5, 6}, "fc.0")).diagnosis();
  CHECK(of_file.wanted == 4);
  CHECK(of_file.found == 2);
  CHECK(of_file.missing.size() == 4);
}

StateTensor ones(std::vector<std::int64_t> shape) {
  const std::vector<float> values(16, 1.0F);
  std::size_t count = 1;
  for (const std::int64_t dim : shape)
    count *= static_cast<std::size_t>(dim);
  return StateTensor::copy_of<float>(std::move(shape), std::span(values).first(count));
}

TEST_CASE("a remedy has the prefix that the load took off the file's names") {
  StateDict saved;
  saved.set("model.enc.weight", ones({3}));
  saved.set("model.enc.bias", ones({2}));
  const TempDir dir;
  REQUIRE(save(saved, dir / "prefixed.wmap"));
  const auto file = WeightFile::open(dir / "prefixed.wmap");
  REQUIRE(file);
  Module module;
  Module encoder;
  Slot weight({.shape = {3}});
  Slot bias({.shape = {2}});
  module.register_module("encoder", encoder);
  encoder.register_parameter("weight", weight);
  encoder.register_parameter("bias", bias);
  const Diagnosis diagnosis = bind(module, *file, {.prefix = "model."}).diagnosis();
  CHECK(diagnosis.remedy.command_text() == "--rename 'model.enc.*=model.encoder.*'");
  CHECK(diagnosis.mended == 2);
}

TEST_CASE("a diagnosis has all that the load refused, and nothing else") {
  Module module;
  Slot slot({.shape = {3}});
  StateDict saved;
  SUBCASE("a tie that the file does not keep") {
    saved.set("a", ones({3}));
    saved.set("b", ones({3}));
    module.register_parameter("a", slot);
    module.register_parameter("b", slot);
    const Diagnosis diagnosis = bind(module, saved).diagnosis();
    CHECK_FALSE(diagnosis.fits());
    CHECK(diagnosis.matched == 1);
    REQUIRE(diagnosis.mismatched.size() == 1);
    CHECK(diagnosis.mismatched[0].key == "b");
    CHECK(diagnosis.mismatched[0].text ==
          "tie mismatch for b: it is one with a in the module, but not in the file.");
  }
  SUBCASE("a value that is no tensor") {
    saved.set("a", StateValue::of_integer(1));
    module.register_parameter("a", slot);
    const Diagnosis diagnosis = load(module, saved).diagnosis();
    CHECK_FALSE(diagnosis.fits());
    REQUIRE(diagnosis.mismatched.size() == 1);
    CHECK(diagnosis.matched == 0);
  }
  SUBCASE("a scalar of shape [1] is none of it") {
    Slot scalar({.shape = {}});
    saved.set("n", ones({1}));
    module.register_parameter("n", scalar);
    module.register_parameter("a", slot);
    const Diagnosis diagnosis = load(module, saved).diagnosis();
    CHECK(diagnosis.mismatched.empty());
    CHECK(diagnosis.missing.size() == 1);
  }
  SUBCASE("nor a size that is ignored") {
    saved.set("a", ones({4}));
    module.register_parameter("a", slot);
    Slot other({.shape = {2}});
    module.register_parameter("b", other);
    const Diagnosis diagnosis = load(module, saved, {.ignore_mismatched_sizes = true}).diagnosis();
    CHECK(diagnosis.mismatched.empty());
    CHECK(diagnosis.passed_over == 1);
    CHECK_FALSE(diagnosis.fits());
  }
  SUBCASE("extra state that is wanted is not unexpected; that it is refused is told") {
    Module child;
    saved.set("c._extra_state", StateValue::of_integer(1));
    module.register_module("c", child);
    child.register_extra_state(nullptr, [](const StateItem&) -> Result<void> {
      return Error(ErrorCode::kCorrupt, "no such\x1b state");
    });
    const Diagnosis diagnosis = load(module, saved).diagnosis();
    CHECK(diagnosis.unexpected.empty());
    CHECK(diagnosis.matched == 1);
    REQUIRE(diagnosis.failures.size() == 1);
    CHECK_FALSE(diagnosis.fits());
    CHECK(diagnosis.text().find("failed:\n  While setting the extra state") != std::string::npos);
    CHECK(diagnosis.text().find('\x1b') == std::string::npos);
  }
  SUBCASE("what a hook has renamed is taken, and no remedy is told") {
    saved.set("old", ones({3}));
    saved.set("net.b", ones({2}));
    Slot other({.shape = {2}});
    module.register_parameter("new", slot);
    module.register_parameter("b", other);
    module.register_load_state_dict_pre_hook(
        [](Module&, LoadStep& step) { step.state_dict.rename("old", "new"); });
    const Diagnosis diagnosis = load(module, saved).diagnosis();
    CHECK(diagnosis.is_edited);
    CHECK(diagnosis.matched == 1);
    CHECK(diagnosis.missing.size() == 1);
    CHECK(diagnosis.unexpected.size() == 1);
    CHECK(diagnosis.remedy.empty());
    CHECK(diagnosis.text().find("hooks") != std::string::npos);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
