// SPDX-License-Identifier: Apache-2.0
// Tensors of subclasses on their way in and out.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/export.h"
#include "weightmap/weight_file.h"

#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::read_file;
using tests::TempDir;
using tests::write_file;
using Strings = std::vector<std::string>;

std::string fixture(const std::string& name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/subclasses/" + name + ".pt";
}

WeightFile converted(const std::string& source,
                     const std::string& target,
                     ConvertOptions options = {}) {
  options.sync = false;
  const auto report = convert_checkpoint(source, target, options);
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  const auto file = WeightFile::open(target);
  REQUIRE_MESSAGE(file.has_value(), file.error().message());
  return *file;
}

// Of composites and of tensors that are no parts.
Strings keys_of(const WeightFile& file) {
  Strings keys;
  for (const TensorView tensor : file) {
    if (!tensor.is_part()) keys.emplace_back(tensor.name());
  }
  for (std::uint32_t i = 0; i < file.composite_count(); ++i)
    keys.emplace_back(file.composite_name(i));
  return keys;
}

Strings roles_of(const CompositeView& composite) {
  Strings roles;
  for (const CompositePart& part : composite.parts())
    roles.emplace_back(part.role);
  return roles;
}

CompositeView composite_of(const WeightFile& file, std::string_view name) {
  for (std::uint32_t i = 0; i < file.composite_count(); ++i) {
    if (file.composite_name(i) == name) return file.composite(i);
  }
  FAIL("no composite " << name);
  return file.composite(0);
}

TEST_SUITE_BEGIN("convert/subclasses");

// What the file becomes on its way out and in again.
WeightFile there_and_back(const TempDir& folder,
                          const WeightFile& file,
                          const std::string& target) {
  const auto report = export_torch(file, folder / "exported.pt", {.sync = false});
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  CHECK(report->dropped.empty());
  WeightFile again = converted(folder / "exported.pt", target);
  CHECK(keys_of(again) == keys_of(file));
  return again;
}

TEST_CASE("an exported tensor of a subclass converts to what it came from") {
  for (const char* const name : {"subclasses", "dtensor", "torchao", "jagged"}) {
    CAPTURE(name);
    const TempDir folder;
    const WeightFile file = converted(fixture(name), folder / "0.wmap");
    const WeightFile again = there_and_back(folder, file, folder / "1.wmap");
    there_and_back(folder, again, folder / "2.wmap");
    // A wrapper inside of another may share its layout with those outside: from then on it does
    // not.
    CHECK(read_file(folder / "1.wmap") == read_file(folder / "2.wmap"));
  }
}

TEST_CASE("parts are named by where they are in the state") {
  const TempDir folder;
  const WeightFile file = converted(fixture("subclasses"), folder / "x.wmap");
  CHECK(roles_of(composite_of(file, "nested")) == Strings{"a.a", "a.b", "b.a", "b.b"});
  CHECK(roles_of(composite_of(file, "listed")) == Strings{"values", "0.scale"});
  // A key of its own has the name that the part would have.
  CHECK(composite_of(file, "two").part("a")->name() == "two.a_");
  CHECK(composite_of(file, "two").part("a")->data() == file.find("plain")->data());
  CHECK(file.find("two.a")->data() == file.find("plain")->data());
  // One object under two keys: its parts have both names.
  CHECK(composite_of(file, "again").part("b")->data() ==
        composite_of(file, "noted").part("b")->data());
  CHECK(composite_of(file, "two_parameter").is_parameter());
}

TEST_CASE("jagged nested tensors of the same offsets share them under each of their keys") {
  const TempDir folder;
  const WeightFile file = converted(fixture("jagged"), folder / "x.wmap");
  CHECK(roles_of(composite_of(file, "bounded")) ==
        Strings{"_values", "_offsets", "_metadata_cache.min_seqlen", "_metadata_cache.max_seqlen"});
  CHECK(roles_of(composite_of(file, "lengths")) == Strings{"_values", "_offsets", "_lengths"});
  const auto* const offsets = file.find("plain")->data();
  CHECK(composite_of(file, "noted").part("_offsets")->data() == offsets);
  CHECK(composite_of(file, "half").part("_offsets")->data() == offsets);
  CHECK(composite_of(file, "parameter").part("_offsets")->data() != offsets);
  CHECK(composite_of(file, "parameter").is_parameter());
}

TEST_CASE("safetensors cannot hold tensors of subclasses, which are refused by name") {
  const TempDir folder;
  const WeightFile file = converted(fixture("torchao"), folder / "x.wmap");
  const auto refused = export_safetensors(file, folder / "out",
                                          {.sync = false, .safetensors = {.drop_extras = true}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kUnsupported);
  CHECK(refused.error().message().find(
            "`0.weight`, `1.weight`: no tensors that safetensors can hold, the first is "
            "wrapper_subclass; drop_tensors resolves it") != std::string::npos);
  const auto report = export_safetensors(
      file, folder / "out",
      {.sync = false, .safetensors = {.drop_extras = true, .drop_tensors = true}});
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  CHECK(std::ranges::count(report->dropped, "0.weight: a tensor, wrapper_subclass") == 1);
  CHECK(report->tensor_count == 2);
}

TEST_CASE("a weight file without what a class needs is refused by name when it is exported") {
  const TempDir folder;
  write_file(folder / "made.wmap", tests::text_of(tests::encode_file(tests::composites_content())));
  const auto file = WeightFile::open(folder / "made.wmap");
  REQUIRE(file);
  const auto report = export_torch(*file, folder / "out.pt", {.sync = false});
  REQUIRE_FALSE(report);
  CAPTURE(report.error().message());
  CHECK(report.error().message().find("torchao.AffineQuantizedTensor") != std::string::npos);
}

// {"w": what is called a jagged nested tensor, whose state is empty, or missing}
std::string jagged_without_parts(CompositeKind kind, bool has_state) {
  tests::WholeContent whole = tests::composites_content();
  auto& composites = whole.content.composites;
  const auto wrapped = std::ranges::find(composites, CompositeKind::kWrapperSubclass,
                                         &format::CompositeContent::kind);
  wrapped->class_name = "torch.nested._internal.nested_tensor.NestedTensor";
  wrapped->kind = kind;
  wrapped->shape = {2};
  wrapped->integers = {1};
  ValueGraph& values = whole.content.values = {};
  const std::uint32_t state = values.add_parent(ValueKind::kDict, {});
  const auto number = static_cast<std::uint64_t>(wrapped - composites.begin());
  const auto attributes = std::span(&state, has_state ? 1 : 0);
  const std::uint32_t item[] = {
      values.add_text(ValueKind::kStr, "w"),
      values.add_node(ValueKind::kComposite, number, attributes, {}, has_state)};
  values.add_parent(ValueKind::kDict, item);
  const auto bytes = tests::encode_file(whole);
  return std::string(tests::text_of(bytes));
}

TEST_CASE("a jagged nested tensor without what makes it is refused by name when it is exported") {
  for (const bool has_state : {false, true}) {
    CAPTURE(has_state);
    const TempDir folder;
    write_file(folder / "made.wmap",
               jagged_without_parts(CompositeKind::kWrapperSubclass, has_state));
    const auto file = WeightFile::open(folder / "made.wmap");
    REQUIRE_MESSAGE(file, file.error().message());
    const auto report = export_torch(*file, folder / "out.pt", {.sync = false});
    REQUIRE_FALSE(report);
    CAPTURE(report.error().message());
    CHECK(report.error().message().find("nested_tensor.NestedTensor") != std::string::npos);
  }
}

TEST_CASE("a composite of another kind is none, whatever its class is called") {
  const TempDir folder;
  write_file(folder / "made.wmap", jagged_without_parts(CompositeKind::kSparseCoo, false));
  const auto file = WeightFile::open(folder / "made.wmap");
  REQUIRE_MESSAGE(file, file.error().message());
  const auto report = export_torch(*file, folder / "out.pt", {.sync = false});
  REQUIRE_FALSE(report);
  CHECK(report.error().message().find("without its indices") != std::string::npos);
}

TEST_CASE("selected tensors of subclasses keep their state") {
  const TempDir folder;
  const WeightFile file =
      converted(fixture("subclasses"), folder / "x.wmap",
                {.selection = {.include = {"t*", "nested", "again"},
                               .exclude = {"two.a", "two_*"},
                               .rename = {{"again", "z.noted"}, {"t*d", "a.t*d"}}}});
  CHECK(keys_of(file) == Strings{"a.tagged", "nested", "two", "z.noted"});
  CHECK(roles_of(composite_of(file, "a.tagged")) == Strings{"values", "other"});
  CHECK(composite_of(file, "a.tagged").part("other")->name() == "a.tagged.other");
  const auto report = export_torch(file, folder / "out.pt", {.sync = false});
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  CHECK(report->dropped.empty());
  // The state is what it was: what was exported is exported again.
  const WeightFile again = converted(folder / "out.pt", folder / "again.wmap");
  REQUIRE(export_torch(again, folder / "again.pt", {.sync = false}));
  CHECK(read_file(folder / "out.pt") == read_file(folder / "again.pt"));
}

TEST_CASE("a tensor that is a key and a part stays a part when the key is left out") {
  const TempDir folder;
  const WeightFile file =
      converted(fixture("dtensor"), folder / "x.wmap", {.selection = {.exclude = {"weight"}}});
  // The mesh is one object for both; its tensor's first name was weight's.
  CHECK(roles_of(composite_of(file, "bias")) == Strings{"_local_tensor", "_spec.mesh._rank_map"});
  const auto report = export_torch(file, folder / "out.pt", {.sync = false});
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  CHECK(report->dropped.empty());
  const WeightFile again = converted(folder / "out.pt", folder / "again.wmap");
  CHECK(keys_of(again) == Strings{"bias"});
  CHECK(again.tensor_count() == 2);
}

// {"w": a wrapper of a tensor and of a sparse one}
std::string wrapper_of_composite() {
  using tests::pickle::boolean;
  using tests::pickle::call;
  using tests::pickle::dict;
  using tests::pickle::global;
  using tests::pickle::integer;
  using tests::pickle::sizes;
  using tests::pickle::tensor;
  using tests::pickle::text;
  using tests::pickle::tuple;
  using tests::pickle::whole;
  const std::string mine = global("my.module", "MyTensor");
  const auto utils = [](std::string_view name) { return global("torch._utils", name); };
  const auto layout = [](std::string_view name) {
    return call(global("torch.serialization", "_get_layout"), {text(name)});
  };
  const std::string indices = tensor(
      {.key = "1", .storage_class = "LongStorage", .numel = 2, .shape = {1, 2}, .strides = {2, 1}});
  const std::string sparse =
      call(utils("_rebuild_sparse_tensor"),
           {layout("torch.sparse_coo"),
            tuple({indices, tensor({.shape = {2}}), sizes({4}), boolean(true)})});
  const std::string wrapper =
      call(global("torch._tensor", "_rebuild_from_type_v2"),
           {utils("_rebuild_wrapper_subclass"), mine,
            tuple({mine, global("torch", "float32"), sizes({4}), sizes({1}), integer(0),
                   layout("torch.strided"), call(global("torch", "device"), {text("cpu")}),
                   boolean(false)}),
            dict({text("inner"), tensor(), text("mask"), sparse})});
  return tests::checkpoint_file(whole(dict({text("w"), wrapper})),
                                {{"0", std::string(16, 'x')}, {"1", std::string(16, '\0')}});
}

TEST_CASE("a composite inside of a wrapper is a key below it, and is never left out alone") {
  const TempDir folder;
  write_file(folder / "in.pt", wrapper_of_composite());
  const WeightFile file = converted(folder / "in.pt", folder / "x.wmap");
  CHECK(keys_of(file) == Strings{"w", "w.mask"});
  CHECK(roles_of(composite_of(file, "w")) == Strings{"inner"});
  REQUIRE(export_torch(file, folder / "out.pt", {.sync = false}));
  CHECK(keys_of(converted(folder / "out.pt", folder / "again.wmap")) == keys_of(file));
  const auto refused = convert_checkpoint(folder / "in.pt", folder / "part.wmap",
                                          {.selection = {.exclude = {"w.mask"}}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("the rules leave out a tensor that `w` is made of") !=
        std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
