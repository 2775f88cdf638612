// SPDX-License-Identifier: Apache-2.0
#include "weightmap/export.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include "weightmap/convert.h"

#include "support/converted.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::converted;
using tests::expect_refusal;
using tests::read_file;
using tests::TempDir;
using tests::write_file;
using Strings = std::vector<std::string>;
using Export = Result<ExportReport> (*)(const WeightFile&,
                                        const std::string&,
                                        const ExportOptions&);

std::string fixture(std::string_view name) {
  return WEIGHTMAP_TEST_DATA "/checkpoints/torch-2.13/" + std::string(name) + ".pt";
}

WeightFile written(const TempDir& folder, const tests::WholeContent& content) {
  write_file(folder / "made.wmap", tests::text_of(tests::encode_file(content)));
  auto file = WeightFile::open(folder / "made.wmap");
  INFO((file ? "" : file.error().message()));
  REQUIRE(file);
  return *file;
}

// An object of a class that is not known is the whole; none of the tensors is in it.
WeightFile written_object(const TempDir& folder, std::string_view class_name) {
  tests::WholeContent content = tests::minimal_content();
  ValueGraph& values = content.content.values;
  values = ValueGraph();
  const auto none = values.add_number(ValueKind::kNone, 0);
  values.add_parent(ValueKind::kOpaque, std::vector{none, none, none, none, none}, class_name);
  return written(folder, content);
}

// All that safetensors cannot say, resolved.
ExportOptions everything() {
  return {
      .sync = false,
      .drop_opaque = true,
      .safetensors = {
          .contiguous = true, .duplicate_ties = true, .drop_extras = true, .drop_tensors = true}};
}

struct Format {
  const char* extension;
  Export run;
};
constexpr Format kFormats[] = {{".pt", export_torch}, {".safetensors", export_safetensors}};

TEST_SUITE_BEGIN("convert/export");

TEST_CASE("an exported checkpoint converts to the very weight file it came from") {
  for (const char* const name :
       {"attributes", "bare_tensor", "conj_neg", "dtypes", "many", "meta", "list_of_tensors",
        "parameters", "retyped", "shapes", "state_dict", "ties", "training", "views"}) {
    CAPTURE(name);
    const TempDir folder;
    const WeightFile file = converted(fixture(name), folder / "first.wmap");
    const auto report = export_torch(file, folder / "exported.pt", {.sync = false});
    INFO((report ? "" : report.error().message()));
    REQUIRE(report);
    CHECK(report->dropped.empty());
    CHECK(report->checked);
    CHECK(report->file_bytes == std::filesystem::file_size(folder / "exported.pt"));
    converted(folder / "exported.pt", folder / "second.wmap");
    CHECK(read_file(folder / "first.wmap") == read_file(folder / "second.wmap"));
  }
}

TEST_CASE("the same content gives the same bytes whatever the target is called") {
  for (const Format& format : kFormats) {
    CAPTURE(format.extension);
    const TempDir folder;
    const WeightFile file = converted(fixture("training"), folder / "model.wmap");
    REQUIRE(format.run(file, folder / "a", everything()));
    REQUIRE(format.run(file, folder / "another.name", everything()));
    CHECK(read_file(folder / "a") == read_file(folder / "another.name"));
  }
}

TEST_CASE("a damaged weight file is refused by the names of the tensors and leaves no file") {
  for (const Format& format : kFormats) {
    for (const char* const name : {"state_dict", "views"}) {
      CAPTURE(format.extension);
      CAPTURE(name);
      const TempDir folder;
      const WeightFile whole = converted(fixture(name), folder / "model.wmap");
      std::string bytes = read_file(folder / "model.wmap");
      bytes[whole.segment(0).offset_bytes + 1] ^= 1;
      write_file(folder / "damaged.wmap", bytes);
      const auto damaged = WeightFile::open(folder / "damaged.wmap");
      REQUIRE(damaged);
      const auto report = format.run(*damaged, folder / "out", everything());
      expect_refusal(report, ErrorCode::kCorrupt, "are not what was written");
      CHECK(report.error().message().find(std::string(whole.name(0))) != std::string::npos);
      CHECK(folder.names() == Strings{"damaged.wmap", "model.wmap"});
    }
  }
}

TEST_CASE("a target of another kind is replaced only when asked and the weight file never") {
  for (const Format& format : kFormats) {
    CAPTURE(format.extension);
    const TempDir folder;
    const WeightFile file = converted(fixture("state_dict"), folder / "model.wmap");
    ExportOptions options = everything();
    write_file(folder / "notes", "not to be lost");
    expect_refusal(format.run(file, folder / "notes", options), ErrorCode::kExists, "notes");
    CHECK(read_file(folder / "notes") == "not to be lost");
    options.replace_any = true;
    CHECK(format.run(file, folder / "notes", options));
    options.replace_any = false;
    CHECK(format.run(file, folder / "notes", options));

    std::filesystem::create_symlink("model.wmap", folder / "link");
    options.replace_any = true;
    for (const char* const target : {"model.wmap", "link"}) {
      expect_refusal(format.run(file, folder / target, options), ErrorCode::kInvalidArgument,
                     "source and target are the same file");
    }
    CHECK(WeightFile::open(folder / "model.wmap"));
  }
}

TEST_CASE("a zip archive that is no checkpoint is another kind") {
  const TempDir folder;
  const WeightFile file = converted(fixture("state_dict"), folder / "model.wmap");
  write_file(folder / "letter.pt", std::string("PK\3\4", 4) + std::string(60, '\0'));
  expect_refusal(export_torch(file, folder / "letter.pt", {}), ErrorCode::kExists, "a zip archive");
}

TEST_CASE("stopping leaves the old target and nothing else") {
  for (const Format& format : kFormats) {
    CAPTURE(format.extension);
    const TempDir folder;
    const WeightFile file = converted(fixture("training"), folder / "model.wmap");
    ExportOptions options = everything();
    REQUIRE(format.run(file, folder / "out", options));
    const std::string before = read_file(folder / "out");
    std::uint64_t calls = 0;
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      CHECK(done <= total);
      return ++calls < 3;
    };
    expect_refusal(format.run(file, folder / "out", options), ErrorCode::kCancelled, "cancelled");
    CHECK(calls == 3);
    CHECK(read_file(folder / "out") == before);
    CHECK(folder.names() == Strings{"model.wmap", "out"});
  }
}

TEST_CASE("progress ends with everything done") {
  for (const Format& format : kFormats) {
    CAPTURE(format.extension);
    const TempDir folder;
    const WeightFile file = converted(fixture("views"), folder / "model.wmap");
    ExportOptions options = everything();
    std::uint64_t last = 0;
    std::uint64_t whole = 1;
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      last = done;
      whole = total;
      return true;
    };
    REQUIRE(format.run(file, folder / "out", options));
    CHECK(last == whole);
  }
}

TEST_CASE("a disk that does not take the file leaves none") {
  for (const Format& format : kFormats) {
    CAPTURE(format.extension);
    const TempDir folder;
    const WeightFile file = converted(fixture("training"), folder / "model.wmap");
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    const rlimit small{.rlim_cur = 1000, .rlim_max = old.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto report = format.run(file, folder / "out", everything());
    ::setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
    REQUIRE_FALSE(report);
    INFO(report.error().message());
    CHECK(report.error().message().starts_with(folder / "out"));
    CHECK(folder.names() == Strings{"model.wmap"});
  }
}

TEST_CASE("opaque objects are refused with all their classes and where the first stands") {
  const TempDir folder;
  const WeightFile file = written(folder, tests::features_content());
  expect_refusal(
      export_torch(file, folder / "out.pt", {}), ErrorCode::kUnsupported,
      "`rest.6` is an object of a class that is not known, which is never written into a "
      "pickle (all such classes: `some.Class`); drop_opaque leaves them out");
  CHECK(folder.names() == Strings{"made.wmap"});
  const auto report = export_torch(file, folder / "out.pt", {.drop_opaque = true});
  REQUIRE(report);
  CHECK(report->dropped == Strings{"rest.6: an object of some.Class"});
}

TEST_CASE("of an opaque object that is the whole its tensors are left, if that is wanted") {
  const TempDir folder;
  const WeightFile file = written_object(folder, "some\nClass");
  expect_refusal(export_torch(file, folder / "out.pt"), ErrorCode::kUnsupported,
                 "the whole checkpoint is an object of a class");
  const auto report = export_torch(file, folder / "out.pt", {.drop_opaque = true});
  REQUIRE(report);
  CHECK(report->dropped == Strings{"the top: all but the tensors of a some.Class, by their names"});
  const auto read = read_checkpoint(folder / "out.pt");
  REQUIRE(read);
  CHECK(read->values.text(read->values.items(read->values.root())[0]) == "w");
}

TEST_CASE("of a TorchScript module its tensors are written by their names") {
  const TempDir folder;
  const WeightFile file = written_object(folder, "__torch__.net\nNet");
  const auto report = export_torch(file, folder / "out.pt");
  REQUIRE(report);
  CHECK(report->tensor_count == file.tensor_count());
  CHECK(report->dropped ==
        Strings{"the top: all but the tensors of a __torch__.net.Net, by their names"});
}

TEST_CASE("a tensor that a module has beside its state dict is left out only if that is wanted") {
  const TempDir folder;
  tests::WholeContent content = tests::minimal_content();
  ValueGraph values;
  const auto none = values.add_number(ValueKind::kNone, 0);
  const auto empty = values.add_parent(ValueKind::kDict, {});
  const auto text = [&](const char* word) { return values.add_text(ValueKind::kStr, word); };
  const auto tensor = values.add_number(ValueKind::kTensor, 0);
  const auto state = values.add_parent(
      ValueKind::kDict, std::vector{text("_parameters"), empty, text("_buffers"), empty,
                                    text("_modules"), empty, text("mean"), tensor});
  values.add_parent(ValueKind::kOpaque, std::vector{none, none, state, none, none}, "some\nNet");
  content.content.values = values;
  const WeightFile file = written(folder, content);
  expect_refusal(export_torch(file, folder / "out.pt"), ErrorCode::kUnsupported,
                 "`w` is a tensor that is in no state dict");
  const auto report = export_torch(file, folder / "out.pt", {.drop_opaque = true});
  REQUIRE(report);
  CHECK(report->dropped == Strings{"the top: all but the state dict of a some.Net", "w: a tensor"});
}

TEST_CASE("what an object held goes with it and is reported") {
  const TempDir folder;
  tests::WholeContent content = tests::minimal_content();
  ValueGraph values;
  const auto none = values.add_number(ValueKind::kNone, 0);
  const auto tensor = values.add_number(ValueKind::kTensor, 0);
  const auto state = values.add_parent(ValueKind::kList, std::vector{tensor});
  const auto opaque = values.add_parent(ValueKind::kOpaque,
                                        std::vector{none, none, state, none, none}, "some\nClass");
  const auto list = values.add_parent(ValueKind::kList, std::vector{none, opaque});
  const auto tuple = values.add_parent(ValueKind::kTuple, std::vector{opaque});
  values.add_parent(ValueKind::kDict,
                    std::vector{values.add_text(ValueKind::kStr, "list"), list, tuple, none});
  content.content.values = values;
  const WeightFile file = written(folder, content);
  const auto report = export_torch(file, folder / "out.pt", {.drop_opaque = true});
  REQUIRE(report);
  CHECK(report->dropped == Strings{"list.1: an object of some.Class", "w: a tensor"});
  CHECK(report->tensor_count == 0);
  const auto read = read_checkpoint(folder / "out.pt");
  REQUIRE(read);
  // The pair whose key was around an opaque object is gone, too.
  REQUIRE(read->values.items(read->values.root()).size() == 2);
  const auto items = read->values.items(read->values.items(read->values.root())[1]);
  REQUIRE(items.size() == 2);
  CHECK(read->values.node(items[1]).kind == ValueKind::kNone);
}

// A pickled module: an opaque object with the state that all modules have.
class Modules {
 public:
  explicit Modules(ValueGraph& values) : values_(values) {}

  std::uint32_t text(std::string_view text) { return values_.add_text(ValueKind::kStr, text); }
  std::uint32_t dict(const std::vector<std::uint32_t>& items) {
    return values_.add_parent(ValueKind::kDict, items);
  }
  std::uint32_t module(std::uint32_t parameters, std::uint32_t buffers, std::uint32_t modules) {
    const auto none = values_.add_number(ValueKind::kNone, 0);
    const auto hidden = values_.add_parent(ValueKind::kSet, std::vector{text("hidden")});
    const auto state =
        dict({text("training"), none, text("_parameters"), parameters, text("_buffers"), buffers,
              text("_modules"), modules, text("_non_persistent_buffers_set"), hidden});
    return values_.add_parent(ValueKind::kOpaque, std::vector{none, none, state, none, none},
                              "my\nNet");
  }

 private:
  ValueGraph& values_;
};

TEST_CASE("a whole module goes out as its state dict") {
  const TempDir folder;
  tests::WholeContent content = tests::minimal_content();
  ValueGraph values;
  Modules make(values);
  const auto tensor = values.add_number(ValueKind::kTensor, 0);
  const auto other = values.add_number(ValueKind::kTensor, 1);
  const auto none = values.add_number(ValueKind::kNone, 0);
  const auto leaf =
      make.module(make.dict({make.text("weight"), tensor, make.text("bias"), none}),
                  make.dict({make.text("seen"), other, make.text("hidden"), other}), make.dict({}));
  const auto children =
      make.dict({make.text("first"), leaf, make.text("none"), none, make.text("second"), leaf});
  const auto net = make.module(make.dict({make.text("scale"), other}), make.dict({}), children);
  make.dict({make.text("net"), net, make.text("epoch"), values.add_number(ValueKind::kInt, 3)});
  content.content.values = values;

  const auto report = export_torch(written(folder, content), folder / "out.pt", {});
  INFO((report ? "" : report.error().message()));
  REQUIRE(report);
  CHECK(report->dropped == Strings{"net: all but the state dict of a my.Net"});
  const auto read = read_checkpoint(folder / "out.pt");
  REQUIRE(read);
  Strings names;
  for (const CheckpointTensor& found : read->tensors)
    names.push_back(found.name);
  // Parameters, buffers, children, as state_dict() has them.
  CHECK(names == Strings{"net.scale", "net.first.weight", "net.first.seen", "net.second.weight",
                         "net.second.seen"});
  const auto root = read->values.items(read->values.root());
  CHECK(read->values.node(root[1]).kind == ValueKind::kOrderedDict);
  CHECK(read->values.integer(root[3]) == 3);
}

TEST_CASE("modules that share others many times over are refused") {
  const TempDir folder;
  tests::WholeContent content = tests::minimal_content();
  ValueGraph values;
  Modules make(values);
  auto inner = make.module(make.dict({}), make.dict({}), make.dict({}));
  for (int depth = 0; depth < 40; ++depth) {
    const auto twice = make.dict({make.text("a"), inner, make.text("b"), inner});
    inner = make.module(make.dict({}), make.dict({}), twice);
  }
  content.content.values = values;
  expect_refusal(export_torch(written(folder, content), folder / "out.pt", {}),
                 ErrorCode::kUnsupported, "have too many names");
}

TEST_CASE("names that only an attack uses are not written") {
  for (const char* const name : {"os\nsystem", "builtins\neval"}) {
    for (const bool as_factory : {false, true}) {
      CAPTURE(name);
      CAPTURE(as_factory);
      const TempDir folder;
      tests::WholeContent content = tests::minimal_content();
      ValueGraph values;
      as_factory ? values.add_parent(ValueKind::kDefaultDict, {}, name)
                 : values.add_text(ValueKind::kGlobal, name);
      content.content.values = values;
      const WeightFile file = written(folder, content);
      expect_refusal(export_torch(file, folder / "out.pt", {}), ErrorCode::kUnsafe,
                     "as only a file does that attacks whoever loads it");
    }
  }
}

TEST_CASE("an alignment for safetensors is a power of two in bounds") {
  const TempDir folder;
  const WeightFile file = converted(fixture("bare_tensor"), folder / "model.wmap");
  for (const std::uint32_t bytes : {0U, 4U, 12U, 1U << 22U}) {
    CAPTURE(bytes);
    ExportOptions options = everything();
    options.safetensors.alignment_bytes = bytes;
    expect_refusal(export_safetensors(file, folder / "out", options), ErrorCode::kInvalidArgument,
                   "an alignment is a power of two from 8 to 2097152");
  }
}

}  // namespace
}  // namespace weightmap
