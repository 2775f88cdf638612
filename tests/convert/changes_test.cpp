// SPDX-License-Identifier: Apache-2.0
// What options change on the way: selection, names, trimming, dtypes.
#include <cstring>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "convert/cast.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;
using Strings = std::vector<std::string>;

std::string fixture(std::string_view name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/torch-2.13/" + std::string(name) + ".pt";
}

struct Changed {
  ConvertReport report;
  WeightFile file;
};

Changed converted(const std::string& source, const ConvertOptions& options) {
  const TempDir directory;
  const auto report = convert_checkpoint(source, directory / "x.wmap", options);
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  const auto file = WeightFile::open(directory / "x.wmap");
  REQUIRE_MESSAGE(file.has_value(), file.error().message());
  return {*report, *file};
}

Strings names_of(const WeightFile& file) {
  Strings names;
  for (const TensorView tensor : file)
    names.emplace_back(tensor.name());
  return names;
}

std::string refusal(const std::string& source, const ConvertOptions& options, ErrorCode code) {
  const TempDir directory;
  const auto report = convert_checkpoint(source, directory / "x.wmap", options);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == code);
  CHECK(directory.names().empty());
  return report.error().message();
}

// The elements at `data`, copied.
template <typename T>
std::vector<T> elements(const TensorView& tensor) {
  std::vector<T> found(tensor.extent().size() / sizeof(T));
  std::memcpy(found.data(), tensor.data(), found.size() * sizeof(T));
  return found;
}

const std::string kDigits = WEIGHTMAP_TEST_DATA "/digits/digits.pt";

TEST_SUITE_BEGIN("convert/changes");

TEST_CASE("chosen tensors keep their order, and what each rule did is told") {
  const Changed changed =
      converted(kDigits, {.selection = {.include = {"conv*", "fc.*"},
                                        .exclude = {"*.bias"},
                                        .rename = {{"conv*.*", "block.*.*"}, {"fc.*", "head.*"}}}});
  CHECK(names_of(changed.file) == Strings{"block.1.weight", "block.2.weight", "head.weight"});
  const auto& rules = changed.report.rules;
  REQUIRE(rules.size() == 5);
  CHECK(rules[0].rule == "include conv*");
  CHECK(rules[0].tensors == 4);
  CHECK(rules[1].tensors == 2);
  CHECK(rules[2].rule == "exclude *.bias");
  CHECK(rules[2].tensors == 3);
  CHECK(rules[3].rule == "rename conv*.*=block.*.*");
  CHECK(rules[3].tensors == 2);
  CHECK(changed.report.left_out_tensors == 17);
  CHECK(changed.file.segment_count() == 3);
}

TEST_CASE("module versions go where their tensors go") {
  const Changed changed =
      converted(kDigits, {.selection = {.include = {"bn1.*"}, .rename = {{"bn1.*", "norm.*"}}}});
  CHECK(changed.file.module_version("norm") == 2);
  CHECK_FALSE(changed.file.module_version("bn1").has_value());
  CHECK_FALSE(changed.file.module_version("conv1").has_value());
}

TEST_CASE("a prefix is taken from tensors and modules, and the rest is left out and counted") {
  const Changed changed = converted(
      fixture("training"), {.selection = {.include = {"model.*"}, .strip_prefix = "model."}});
  CHECK(names_of(changed.file).front() == "0.weight");
  CHECK(changed.file.module_version("1") == 2);
  CHECK(changed.file.module_version("") == 1);
  CHECK(changed.report.left_out_values > 20);
  const auto values = changed.file.values();
  REQUIRE(values);
  CHECK(values->node(values->root()).kind == ValueKind::kOrderedDict);
  CHECK(values->items(values->root()).size() == 2 * names_of(changed.file).size());
}

TEST_CASE("ties stay ties under new names") {
  const Changed changed = converted(
      kDigits, {.selection = {.include = {"fc.*", "head.*"}, .rename = {{"head.*", "tied.*"}}}});
  CHECK(changed.file.find("tied.weight")->data() == changed.file.find("fc.weight")->data());
}

TEST_CASE("a rule that touches nothing, and names that collide, are refused") {
  struct Row {
    SelectionOptions selection;
    const char* part;
  };
  const Row rows[] = {
      {{.include = {"layer*"}}, "touched by the rule `include layer*`"},
      {{.exclude = {"layer*"}}, "`exclude layer*`"},
      {{.strip_prefix = "module."}, "`strip-prefix module.`"},
      {{.rename = {{"x", "y"}}}, "`rename x=y`"},
      {{.rename = {{"*.bias", "bias"}}}, "two tensors the name `bias`"},
      {{.exclude = {"*"}}, "leave no tensor"},
      {{.rename = {{"fc.weight", ""}}}, "empty name"},
      {{.rename = {{"fc.*", "*.*"}}}, "more `*` in its replacement"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.part);
    ConvertOptions options;
    options.selection = row.selection;
    const std::string message = refusal(kDigits, options, ErrorCode::kInvalidArgument);
    CAPTURE(message);
    CHECK(message.find(row.part) != std::string::npos);
  }
}

TEST_CASE("a storage is cut to what its tensors refer to, at the same distances") {
  const Changed trimmed = converted(fixture("views"), {});
  const Changed whole = converted(fixture("views"), {.whole_storages = true});
  CHECK(whole.report.trimmed_bytes == 0);
  CHECK(trimmed.report.trimmed_bytes == whole.report.data_bytes - trimmed.report.data_bytes);
  // small_view_of_large refers to 5 of 2,048 elements.
  CHECK(trimmed.report.trimmed_bytes > 8000);
  for (std::uint32_t i = 0; i < whole.file.tensor_count(); ++i) {
    CAPTURE(whole.file.name(i));
    CHECK(tests::text_of(trimmed.file.tensor(i).extent()) ==
          tests::text_of(whole.file.tensor(i).extent()));
  }
  const auto distance = [](const WeightFile& file) {
    return file.find("sliced")->data() - file.find("base")->data();
  };
  CHECK(distance(trimmed.file) == distance(whole.file));
}

TEST_CASE("floats become shorter floats, with their ties and views") {
  const Changed changed = converted(fixture("views"), {.float_dtype = Dtype::kBFloat16});
  CHECK(changed.report.cast_tensors == changed.file.tensor_count());
  const TensorView base = *changed.file.find("base");
  CHECK(base.dtype() == Dtype::kBFloat16);
  const auto bits = elements<std::uint16_t>(base);
  REQUIRE(bits.size() == 24);
  CHECK(bits[0] == 0x3F80);   // 1
  CHECK(bits[2] == 0x4040);   // 3
  CHECK(bits[23] == 0x41C0);  // 24
  const Changed plain = converted(fixture("views"), {});
  const auto distance = [](const WeightFile& file) {
    return file.find("sliced")->data() - file.find("base")->data();
  };
  CHECK(distance(changed.file) * 2 == distance(plain.file));
}

TEST_CASE("what is no float stays as it is") {
  const Changed changed = converted(kDigits, {.float_dtype = Dtype::kFloat16});
  CHECK(changed.file.find("bn1.num_batches_tracked")->dtype() == Dtype::kInt64);
  CHECK(changed.file.find("conv1.weight")->dtype() == Dtype::kFloat16);
  CHECK(changed.report.cast_tensors == 18);
}

TEST_CASE("a float that shares bytes with another dtype cannot be cast alone") {
  convert::Plan plan;
  plan.segments = {{.storage = 0, .size_bytes = 8}};
  plan.content.segment_sizes_bytes = {8};
  plan.content.tensors = {
      {.name = "bits", .dtype = Dtype::kInt32, .segment = 0, .shape = {2}, .strides = {1}},
      {.name = "values", .dtype = Dtype::kFloat32, .segment = 0, .shape = {2}, .strides = {1}}};
  const auto cast = convert::cast_floats(plan, Dtype::kFloat16);
  REQUIRE_FALSE(cast);
  CHECK(cast.error().code() == ErrorCode::kUnsupported);
  CHECK(cast.error().message() ==
        "tensors `bits` (int32) and `values` (float32) share bytes: neither can be cast to "
        "float16 alone");
  CHECK(plan.content.tensors[1].dtype == Dtype::kFloat32);
  CHECK(convert::cast_floats(plan, Dtype::kFloat32).has_value());
}

TEST_CASE("casts that make no sense are refused") {
  refusal(kDigits, {.float_dtype = Dtype::kInt8}, ErrorCode::kInvalidArgument);
  refusal(kDigits, {.float_dtype = Dtype::kFloat16, .whole_storages = true},
          ErrorCode::kInvalidArgument);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
