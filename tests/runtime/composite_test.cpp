// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "weightmap/composite_view.h"
#include "weightmap/load.h"

#include "support/built_file.h"

namespace weightmap {
namespace {

using tests::bytes_of;
using tests::tensor_in;
using Strings = std::vector<std::string>;

format::TensorContent part_in(std::uint32_t segment,
                              std::string name,
                              std::vector<std::int64_t> shape,
                              Dtype dtype) {
  auto tensor = tensor_in(segment, std::move(name), std::move(shape), dtype);
  tensor.flags = format::kPart;
  return tensor;
}

// A plain tensor between the parts of a quantized weight and those of a sparse one.
WeightFile sample() {
  format::Content content;
  content.tensors = {part_in(0, "fc.weight.values", {2, 2}, Dtype::kQInt8),
                     part_in(1, "fc.weight.scales", {2}, Dtype::kFloat64),
                     tensor_in(2, "fc.bias", {2}),
                     part_in(3, "mask.indices", {1, 2}, Dtype::kInt64),
                     part_in(2, "mask.values", {2}, Dtype::kFloat32)};
  content.composites = {{.name = "fc.weight",
                         .kind = CompositeKind::kQuantizedPerChannel,
                         .dtype = Dtype::kQInt8,
                         .flags = format::kParameter,
                         .shape = {2, 2},
                         .parts = {{"scales", 1}, {"values", 0}},
                         .reals = {0.5},
                         .integers = {1}},
                        {.name = "mask",
                         .kind = CompositeKind::kSparseCoo,
                         .flags = format::kBuffer | format::kRequiresGrad,
                         .shape = {9},
                         .parts = {{"indices", 3}, {"values", 4}},
                         .class_name = "a.B"}};
  return tests::open_built(tests::build_file(
      content,
      {bytes_of(std::vector<std::int8_t>{1, 2, 3, 4}), bytes_of(std::vector<double>{0.5, 0.25}),
       bytes_of(std::vector<float>{7, 8}), bytes_of(std::vector<std::int64_t>{3, 5})}));
}

struct Linear : Module {
  explicit Linear(Module& parent) : Module(parent, "fc") {}
  Parameter<float> weight{*this, "weight", {2, 2}};
  Parameter<float> bias{*this, "bias", {2}};
};

struct Net : Module {
  Linear fc{*this};
};

struct Other : Module {
  struct Weight : Module {
    explicit Weight(Module& parent) : Module(parent, "weight") {}
    Buffer<double> scales{*this, "scales", {2}};
  };
  struct Fc : Module {
    explicit Fc(Module& parent) : Module(parent, "fc") {}
    Parameter<float> bias{*this, "bias", {2}};
    Weight weight{*this};
  } fc{*this};
};

TEST_SUITE_BEGIN("runtime/composite");

TEST_CASE("a composite tells what it stands for and where its parts are") {
  const WeightFile file = sample();
  REQUIRE(file.composite_count() == 2);
  const CompositeView weight = file.composite(0);
  CHECK(weight.name() == "fc.weight");
  CHECK(weight.kind() == CompositeKind::kQuantizedPerChannel);
  CHECK(weight.dtype() == Dtype::kQInt8);
  CHECK(weight.is_parameter());
  CHECK_FALSE(weight.is_buffer());
  CHECK_FALSE(weight.requires_grad());
  CHECK(std::ranges::equal(weight.shape(), std::vector{2, 2}));
  CHECK(std::ranges::equal(weight.reals(), std::vector{0.5}));
  CHECK(std::ranges::equal(weight.integers(), std::vector{1}));
  CHECK(weight.class_name().empty());
  REQUIRE(weight.parts().size() == 2);
  CHECK(weight.parts()[0].role == "scales");
  CHECK(weight.parts()[0].number == 1);
  CHECK(weight.parts()[0].tensor.name() == "fc.weight.scales");
  CHECK((*weight.part("scales")->values<double>())[1] == 0.25);
  CHECK(weight.part("values")->data() == file.tensor(0).data());
  CHECK_FALSE(weight.part("zero_points"));
  const CompositeView mask = file.composite(1);
  CHECK(mask.is_buffer());
  CHECK(mask.requires_grad());
  CHECK(mask.class_name() == "a.B");
}

TEST_CASE("composites are found by name and their parts are no keys") {
  const WeightFile file = sample();
  CHECK(file.find_composite_number("fc.weight") == 0);
  CHECK(file.find_composite_number("mask") == 1);
  CHECK(file.find_composite("mask")->kind() == CompositeKind::kSparseCoo);
  for (const char* other : {"", "fc", "fc.bias", "fc.weight.values", "zzz"}) {
    CAPTURE(other);
    CHECK_FALSE(file.find_composite(other));
  }
  CHECK_FALSE(file.find("fc.weight"));
  CHECK(file.find("fc.weight.values")->is_part());
  CHECK_FALSE(file.find("fc.bias")->is_part());
}

TEST_CASE("composites of every kind are found among many") {
  const std::string path = std::string(WEIGHTMAP_TEST_DATA) + "/composites.wmap";
  const auto file = WeightFile::open(path);
  REQUIRE_MESSAGE(file.has_value(), file.error().message());
  REQUIRE(file->composite_count() == kCompositeKindCount);
  std::vector<CompositeKind> kinds;
  for (std::uint32_t i = 0; i < file->composite_count(); ++i) {
    CHECK(file->find_composite_number(file->composite_name(i)) == i);
    kinds.push_back(file->composite(i).kind());
    const CompositeView composite = file->composite(i);
    for (const CompositePart& part : composite.parts())
      CHECK(part.tensor.is_part());
  }
  std::ranges::sort(kinds);
  CHECK(std::ranges::adjacent_find(kinds) == kinds.end());
  CHECK((*file->verify()).ok());
}

TEST_CASE("a slot that wants a composite is told what is there") {
  Net net;
  const LoadReport report = bind(net, sample());
  REQUIRE_FALSE(report.ok());
  CHECK(report.missing().empty());
  REQUIRE(report.mismatched().size() == 1);
  CHECK(report.mismatched()[0].key == "fc.weight");
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kComposite);
  CHECK(report.mismatched()[0].text ==
        "kind mismatch for fc.weight: the file's is a quantized tensor (quantized_per_channel of "
        "qint8), the slot wants the elements of one float32 tensor.");
  CHECK(Strings(report.unexpected().begin(), report.unexpected().end()) == Strings{"mask"});
  CHECK_FALSE(net.fc.bias.is_bound());
}

TEST_CASE("a composite that no slot wants is unexpected and its parts never are") {
  Net net;
  const LoadReport report = bind(net, sample(), {.strict = false, .prefix = "none."});
  CHECK(report.unexpected().empty());
  struct Empty : Module {
  } empty;
  const LoadReport all = bind(empty, sample());
  CHECK(Strings(all.unexpected().begin(), all.unexpected().end()) ==
        Strings{"fc.weight", "fc.bias", "mask"});
  const LoadReport some = bind(empty, sample(), {.prefix = "fc."});
  CHECK(Strings(some.unexpected().begin(), some.unexpected().end()) == Strings{"weight", "bias"});
}

TEST_CASE("a slot with the name of a part is missing") {
  Other other;
  const LoadReport report = bind(other, sample());
  CHECK(Strings(report.missing().begin(), report.missing().end()) == Strings{"fc.weight.scales"});
  CHECK(Strings(report.unexpected().begin(), report.unexpected().end()) ==
        Strings{"mask", "fc.weight"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
