// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <numeric>

#include <doctest/doctest.h>

#include "weightmap/load.h"

#include "support/built_file.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::tensor_in;
using Strings = std::vector<std::string>;

struct Linear : Module {
  Linear(Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  Parameter<float> weight, bias;
};

struct Net : Module {
  Linear first{*this, "first", 3, 2};
  Linear fc{*this, "fc", 2, 2};
  Buffer<std::int64_t> count{*this, "count", {}};
  Buffer<float> scratch{*this, "scratch", {9}, Persistent::kNo};
  Net() { register_module("head", fc); }
};

std::vector<float> counted(std::size_t size, float from) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), from);
  return values;
}

// The file that fits Net, and what tests change of it.
struct Sample {
  format::Content content;
  std::vector<std::vector<std::byte>> segments{bytes_of(counted(6, 0)), bytes_of(counted(2, 10)),
                                               bytes_of(counted(4, 20)), bytes_of(counted(2, 30)),
                                               bytes_of(std::vector<std::int64_t>{41})};

  Sample() {
    content.tensors = {tensor_in(4, "count", {}, Dtype::kInt64),
                       tensor_in(0, "first.weight", {2, 3}),
                       tensor_in(1, "first.bias", {2}),
                       tensor_in(2, "fc.weight", {2, 2}),
                       tensor_in(3, "fc.bias", {2}),
                       tensor_in(2, "head.weight", {2, 2}),
                       tensor_in(3, "head.bias", {2})};
  }
  format::TensorContent& at(std::string_view name) {
    return *std::ranges::find(content.tensors, name, &format::TensorContent::name);
  }
  void erase(std::string_view name) {
    std::erase_if(content.tensors, [&](const auto& tensor) { return tensor.name == name; });
  }
  WeightFile open() const { return open_built(build_file(content, segments)); }
};

Strings strings(std::span<const std::string> from) {
  return {from.begin(), from.end()};
}

bool is_untouched(const Net& net) {
  return !net.first.weight.is_bound() && !net.first.bias.is_bound() && !net.fc.weight.is_bound() &&
         !net.fc.bias.is_bound() && !net.count.is_bound();
}

TEST_SUITE_BEGIN("runtime/bind");

TEST_CASE("a bound slot is the mapping's own bytes") {
  Net net;
  const WeightFile file = Sample().open();
  const LoadReport report = bind(net, file);
  REQUIRE(report.ok());
  CHECK(report.text() == "bound 7 tensors, 0 missing, 0 unexpected");
  CHECK(net.first.weight.bytes() == file.find("first.weight")->data());
  CHECK(net.first.weight.values()[5] == 5.0F);
  CHECK(net.count[0] == 41);
  CHECK(net.fc.bias.values()[1] == 31.0F);
  CHECK_FALSE(net.scratch.is_bound());
  CHECK(report.origin(0) == file.path());
}

TEST_CASE("a bound module keeps the mapping alive") {
  Net net;
  std::weak_ptr<tests::AlignedBytes> bytes;
  {
    const Sample sample;
    const auto built = build_file(sample.content, sample.segments);
    bytes = built;
    CHECK(bind(net, open_built(built)).ok());
  }
  CHECK_FALSE(bytes.expired());
  CHECK(net.fc.weight.values()[3] == 23.0F);
  REQUIRE(bind(net, Sample().open()).ok());
  CHECK(bytes.expired());  // a complete bind replaces all, and lets go
}

// Two roots with one child between them.
struct Holder : Module {
  explicit Holder(Linear& shared) { register_module("fc", shared); }
};

TEST_CASE("a module that two trees share keeps the file alive that it was bound to last") {
  Sample sample;
  std::erase_if(sample.content.tensors,
                [](const auto& tensor) { return !tensor.name.starts_with("fc."); });
  Module owner;
  Linear shared(owner, "fc", 2, 2);
  {
    Holder other(shared);
    REQUIRE(bind(other, sample.open(), {.strict = false}).ok());
  }
  CHECK(shared.weight.values()[3] == 23.0F);
}

TEST_CASE("a file that fills a part of the slots does not let go of the rest, nor pile up") {
  Net net;
  const Sample whole;
  const auto first = build_file(whole.content, whole.segments);
  REQUIRE(bind(net, open_built(first)).ok());
  Sample part;
  part.erase("fc.bias");
  part.erase("head.bias");
  std::weak_ptr<tests::AlignedBytes> previous;
  for (int generation = 0; generation < 3; ++generation) {
    const auto built = build_file(part.content, part.segments);
    REQUIRE(bind(net, open_built(built), {.strict = false}).ok());
    CHECK(previous.expired());
    previous = built;
  }
  CHECK(net.fc.bias.values()[1] == 31.0F);
}

TEST_CASE("matched names the file's tensors in the module's order") {
  Net net;
  const WeightFile file = Sample().open();
  const LoadReport report = bind(net, file);
  Strings names;
  for (std::size_t i = 0; i < report.matched_count(); ++i)
    names.emplace_back(report.matched(i));
  CHECK(names == Strings{"count", "first.weight", "first.bias", "fc.weight", "fc.bias",
                         "head.weight", "head.bias"});
}

// Lists and trees of more slots than are looked up together.
TEST_CASE("each of many slots gets its own tensor, in whatever order they come") {
  const tests::TempDir dir;
  const std::string path = dir / "many.wmap";
  const tests::SyntheticModel model = tests::expert_model(1'000);
  tests::write_weight_file(model, path);
  const auto file = WeightFile::open(path);
  REQUIRE(file);
  for (const bool is_shuffled : {false, true}) {
    for (const std::string prefix : {"", "model."}) {
      CAPTURE(is_shuffled);
      CAPTURE(prefix);
      tests::SyntheticModel wanted = model;
      std::erase_if(wanted, [](const auto& t) { return t.name.ends_with(".k_proj.weight"); });
      wanted.push_back({"model.not_there", {1}});
      for (tests::SyntheticTensor& tensor : wanted)
        tensor.name.erase(0, prefix.size());
      tests::FreeSlots slots(wanted);
      if (is_shuffled) slots.shuffle();
      const LoadReport report = bind_slots(slots.all(), *file, {.strict = false, .prefix = prefix});
      REQUIRE(report.ok());
      CHECK(report.matched_count() == wanted.size() - 1);
      CHECK(strings(report.missing()) == Strings{wanted.back().name});
      CHECK(report.unexpected().size() == model.size() - report.matched_count());
      for (const FreeSlot& slot : slots.all()) {
        const auto tensor = file->find(prefix + std::string(slot.name));
        CHECK(slot.slot->bytes() == (tensor ? tensor->data() : nullptr));
      }
    }
  }
}

TEST_CASE("each of many slots of a tree gets its own tensor, in the order of the file or another") {
  const tests::TempDir dir;
  const std::string path = dir / "many.wmap";
  const tests::SyntheticModel model = tests::wide_model(30);
  for (const bool is_reversed : {false, true}) {
    CAPTURE(is_reversed);
    tests::SyntheticModel saved = model;
    if (is_reversed) std::ranges::reverse(saved);
    tests::write_weight_file(saved, path);
    const auto file = WeightFile::open(path);
    REQUIRE(file);
    tests::ModuleTree tree(model);
    const LoadReport report = bind(tree.root(), *file);
    REQUIRE(report.ok());
    CHECK(tree.is_bound());
    Strings names;
    for (std::size_t i = 0; i < report.matched_count(); ++i)
      names.emplace_back(report.matched(i));
    Strings expected;
    for (const tests::SyntheticTensor& tensor : model)
      expected.push_back(tensor.name);
    CHECK(names == expected);
  }
}

TEST_CASE("missing and unexpected keys are told together, in PyTorch's words") {
  Sample sample;
  sample.erase("first.bias");
  sample.erase("fc.weight");
  sample.content.tensors.push_back(tensor_in(1, "extra.weight", {2}));
  sample.content.tensors.push_back(
      tensor_in(1, "scratch", {2}));  // not persistent: no key of the module
  const WeightFile file = sample.open();

  Net net;
  const LoadReport strict = bind(net, file);
  CHECK_FALSE(strict.ok());
  CHECK(strings(strict.missing()) == Strings{"first.bias", "fc.weight"});
  CHECK(strings(strict.unexpected()) == Strings{"extra.weight", "scratch"});
  // The text that torch 2.13 gives for these lists.
  CHECK(strict.text() ==
        "Error(s) in loading state_dict for Net:\n\t"
        "Missing key(s) in state_dict: \"first.bias\", \"fc.weight\". \n\t"
        "Unexpected key(s) in state_dict: \"extra.weight\", \"scratch\". ");
  CHECK(strict.error().code() == ErrorCode::kMismatch);
  CHECK(is_untouched(net));

  const LoadReport loose = bind(net, file, {.strict = false});
  CHECK(loose.ok());
  CHECK(loose.text() == "bound 5 tensors, 2 missing, 2 unexpected");
  CHECK(net.first.weight.is_bound());
  CHECK_FALSE(net.first.bias.is_bound());
  CHECK(net.fc.weight.is_bound());  // under its other name, as in PyTorch
}

TEST_CASE("every kind of mismatch is told, with nothing bound, strict or not") {
  using Reason = Mismatch::Reason;
  struct Row {
    Reason reason;
    const char* key;
    void (*change)(Sample&);
    const char* text;
  };
  const std::vector<Row> rows{
      // The size mismatch is torch 2.13's own text.
      {Reason::kShape, "first.bias",
       [](Sample& s) { s.at("first.bias") = tensor_in(0, "first.bias", {3}); },
       "size mismatch for first.bias: copying a param with shape torch.Size([3]) from checkpoint, "
       "the shape in current model is torch.Size([2])."},
      {Reason::kShape, "count",
       [](Sample& s) { s.at("count") = tensor_in(0, "count", {2}, Dtype::kInt64); },
       "copying a param with shape torch.Size([2]) from checkpoint, the shape in current model is "
       "torch.Size([])."},
      {Reason::kDtype, "first.bias", [](Sample& s) { s.at("first.bias").dtype = Dtype::kFloat16; },
       "dtype mismatch for first.bias: the file has float16, the slot wants float32."},
      {Reason::kLayout, "first.weight",
       [](Sample& s) {
         s.at("first.weight").strides = {1, 2};
       },
       "layout mismatch for first.weight: the file's strides are [1, 2], the slot wants contiguous "
       "elements."},
      {Reason::kValues, "first.bias",
       [](Sample& s) {
         s.at("first.bias") = {.name = "first.bias", .flags = format::kUninitialized};
       },
       "a lazy parameter without a shape"},
      {Reason::kValues, "first.bias", [](Sample& s) { s.at("first.bias").flags = format::kNeg; },
       "values mismatch for first.bias: the file's tensor is stored conjugated or negated."},
      {Reason::kValues, "first.bias",
       [](Sample& s) {
         s.at("first.bias").flags = format::kMeta;
         s.at("first.bias").segment = format::kNoSegment;
       },
       "values mismatch for first.bias: the file's tensor has no values."},
      {Reason::kTie, "head.bias", [](Sample& s) { s.at("head.bias").segment = 1; },
       "tie mismatch for head.bias: it is one with fc.bias in the module, but not in the file."},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Sample sample;
    row.change(sample);
    for (const bool strict : {true, false}) {
      Net net;
      const LoadReport report = bind(net, sample.open(), {.strict = strict});
      CHECK_FALSE(report.ok());
      REQUIRE(report.mismatched().size() == 1);
      CHECK(report.mismatched()[0].reason == row.reason);
      CHECK(report.mismatched()[0].key == row.key);
      CHECK(report.mismatched()[0].text.find(row.text) != std::string::npos);
      CHECK(report.text().find(row.text) != std::string::npos);
      CHECK(report.missing().empty());
      CHECK(report.unexpected().empty());
      CHECK(is_untouched(net));
    }
  }
}

TEST_CASE("a failed bind leaves an earlier one in place") {
  Net net;
  const WeightFile good = Sample().open();
  REQUIRE(bind(net, good).ok());
  Sample bad;
  bad.at("head.bias").dtype = Dtype::kInt32;
  CHECK_FALSE(bind(net, bad.open()).ok());
  CHECK(net.first.weight.bytes() == good.find("first.weight")->data());
  CHECK(net.fc.bias.bytes() == good.find("fc.bias")->data());
}

TEST_CASE("a scalar slot takes a tensor of shape [1]") {
  Sample sample;
  sample.at("count") = tensor_in(4, "count", {1}, Dtype::kInt64);
  Net net;
  REQUIRE(bind(net, sample.open()).ok());
  CHECK(net.count[0] == 41);
  CHECK(net.count.strides().empty());
}

TEST_CASE("a slot may ask for any strides") {
  struct Strided : Module {
    Parameter<float> weight{*this, "weight", {2, 3}, SlotLayout::kAnyStrides};
  } net;
  Sample sample;
  sample.content.tensors = {tensor_in(0, "weight", {2, 3})};
  sample.content.tensors[0].strides = {1, 2};
  REQUIRE(bind(net, sample.open()).ok());
  CHECK(net.weight.strides()[1] == 2);
  CHECK(net.weight.data()[1 * net.weight.strides()[0] + 2 * net.weight.strides()[1]] == 5.0F);
}

TEST_CASE("a prefix binds a part of the file and looks at nothing else") {
  Sample sample;
  for (auto& tensor : sample.content.tensors)
    tensor.name = "model." + tensor.name;
  sample.content.tensors.push_back(tensor_in(1, "epoch", {2}));
  sample.content.tensors.push_back(tensor_in(1, "model.extra", {2}));
  sample.erase("model.fc.bias");
  Net net;
  const LoadReport report = bind(net, sample.open(), {.prefix = "model."});
  CHECK(strings(report.missing()) == Strings{"fc.bias"});
  CHECK(strings(report.unexpected()) == Strings{"extra"});
}

TEST_CASE("the file's order does not matter") {
  Sample sample;
  std::ranges::reverse(sample.content.tensors);
  std::swap(sample.content.tensors[1], sample.content.tensors[4]);
  Net net;
  const WeightFile file = sample.open();
  REQUIRE(bind(net, file).ok());
  CHECK(net.first.bias.bytes() == file.find("first.bias")->data());
  CHECK(net.first.weight.bytes() == file.find("first.weight")->data());
}

TEST_CASE("a tie of the file that the module does not ask for is no error") {
  struct Untied : Module {
    Linear fc{*this, "fc", 2, 2};
    Linear head{*this, "head", 2, 2};
  } net;
  Sample sample;
  sample.erase("first.weight");
  sample.erase("first.bias");
  sample.erase("count");
  REQUIRE(bind(net, sample.open()).ok());
  CHECK(net.fc.weight.bytes() == net.head.weight.bytes());
}

TEST_CASE("wrong registrations fail the bind") {
  Net net;
  net.register_module("a.b", net.fc);
  const LoadReport report = bind(net, Sample().open());
  CHECK_FALSE(report.ok());
  CHECK(report.text().find("module name can't contain \".\", got: a.b") != std::string::npos);
  CHECK(is_untouched(net));
}

TEST_CASE("slots can be bound without any module") {
  Slot weight({.shape = {2, 3}});
  Slot bias({.shape = {2}});
  const std::array slots{FreeSlot{.name = "first.weight", .slot = &weight},
                         FreeSlot{.name = "first.bias", .slot = &bias}};
  const LoadReport strict = bind_slots(slots, Sample().open());
  CHECK(strict.text().starts_with("Error(s) in loading state_dict for a list of slots:\n\tUnexp"));
  const WeightFile file = Sample().open();
  REQUIRE(bind_slots(slots, file, {.strict = false}).ok());
  CHECK(weight.bytes() == file.find("first.weight")->data());
}

TEST_CASE("a slot that was tied in another module is not taken for tied here") {
  Slot shared({.shape = {2}});
  Slot other({.shape = {2}});
  const std::array first{FreeSlot{.name = "fc.bias", .slot = &other},
                         FreeSlot{.name = "first.bias", .slot = &shared}};
  const std::array second{FreeSlot{.name = "first.bias", .slot = &other},
                          FreeSlot{.name = "fc.bias", .slot = &shared}};
  CHECK(bind_slots(first, Sample().open(), {.strict = false}).ok());
  CHECK(bind_slots(second, Sample().open(), {.strict = false}).ok());
}

TEST_CASE("ten thousand keys that all mismatch are all told") {
  constexpr int kCount = 10'000;
  Sample sample;
  sample.content.tensors.clear();
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<FreeSlot> free;
  for (int i = 0; i < kCount; ++i) {
    sample.content.tensors.push_back(tensor_in(1, "layers." + std::to_string(i), {2}));
    slots.push_back(std::make_unique<Slot>(Slot::Wanted{.shape = {3}}));
  }
  const WeightFile file = sample.open();
  for (int i = 0; i < kCount; ++i) {
    free.push_back({.name = file.name(static_cast<std::uint32_t>(i)),
                    .slot = slots[static_cast<std::size_t>(i)].get()});
  }
  CHECK(bind_slots(free, file).mismatched().size() == kCount);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
