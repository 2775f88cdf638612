// SPDX-License-Identifier: Apache-2.0
#include "weightmap/diff.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "weightmap/export.h"

#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::TempDir;
using tests::WholeContent;
using Strings = std::vector<std::string>;

const std::string kData = WEIGHTMAP_TEST_DATA;

std::string join(const Strings& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " = ") + word;
  return text;
}

std::string shown(const std::optional<std::int64_t>& version) {
  return version ? std::to_string(*version) : "nothing";
}

std::string shown(const ElementChanges& changes) {
  std::string text = std::to_string(changes.changed) + " of " + std::to_string(changes.elements);
  if (changes.largest) text += " by " + nlohmann::json(*changes.largest).dump();
  if (changes.nan_only_in_first > 0) text += " nan " + std::to_string(changes.nan_only_in_first);
  return text;
}

// Everything that a report tells of differences, a line each.
Strings lines_of(const DiffReport& report) {
  Strings lines;
  for (const std::string& name : report.only_in_first)
    lines.push_back("first: " + name);
  for (const std::string& name : report.only_in_second)
    lines.push_back("second: " + name);
  for (const TensorDifference& tensor : report.tensors) {
    const std::string name = tensor.name + (tensor.part.empty() ? "" : "." + tensor.part);
    for (const FactDifference& fact : tensor.facts) {
      lines.push_back(name + ": " + std::string(tensor_fact_name(fact.fact)) + " " + fact.first +
                      " vs " + fact.second);
    }
    if (tensor.elements) lines.push_back(name + ": " + shown(*tensor.elements));
  }
  for (const Strings& names : report.ties_only_in_first)
    lines.push_back("first ties " + join(names));
  for (const Strings& names : report.ties_only_in_second)
    lines.push_back("second ties " + join(names));
  for (const ModuleDifference& module : report.modules)
    lines.push_back("module " + module.path + ": " + shown(module.first) + " vs " +
                    shown(module.second));
  for (const ValueDifference& value : report.values)
    lines.push_back("value " + value.path + ": " + value.first + " vs " + value.second);
  CHECK(report.equal() == lines.empty());
  return lines;
}

DiffReport compared(const std::string& first,
                    const std::string& second,
                    const DiffOptions& options = {}) {
  const auto report = diff(first, second, options);
  INFO((report ? "" : report.error().message()));
  REQUIRE(report);
  return *report;
}

std::string converted(const TempDir& folder,
                      const std::string& source,
                      const ConvertOptions& options = {}) {
  std::string target = folder / (std::filesystem::path(source).stem().string() + ".wmap");
  const auto report = convert_checkpoint(source, target, options);
  INFO((report ? "" : report.error().message()));
  REQUIRE(report);
  return target;
}

void exported(const std::string& weight_file, const std::string& target) {
  const auto file = WeightFile::open(weight_file);
  REQUIRE(file);
  REQUIRE(export_torch(*file, target, {.sync = false}));
}

template <typename T>
tests::Bytes bytes_of_numbers(const std::vector<T>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

// `a` and `b` are one tensor, `c` is another; a module and a value.
WholeContent small_content() {
  WholeContent whole;
  for (const char* const name : {"a", "b"}) {
    whole.content.tensors.push_back({.name = name,
                                     .flags = format::kParameter,
                                     .segment = 0,
                                     .shape = {2, 3},
                                     .strides = {3, 1}});
  }
  whole.content.tensors.push_back(
      {.name = "c", .dtype = Dtype::kInt64, .segment = 1, .shape = {2}, .strides = {1}});
  whole.segments = {bytes_of_numbers<float>({1, 2, 3, 4, 5, 6}),
                    bytes_of_numbers<std::int64_t>({7, 8})};
  whole.content.modules = {{"", 1}, {"bn", 2}};
  ValueGraph& values = whole.content.values;
  const std::uint32_t pair[] = {values.add_text(ValueKind::kStr, "epoch"),
                                values.add_number(ValueKind::kInt, 5)};
  values.add_parent(ValueKind::kDict, pair);
  return whole;
}

std::string written(const TempDir& folder, const char* name, const WholeContent& content) {
  tests::write_file(folder / name, tests::text_of(tests::encode_file(content)));
  return folder / name;
}

Strings difference_to(const WholeContent& first,
                      const WholeContent& second,
                      const DiffOptions& options = {}) {
  const TempDir folder;
  const std::string a = written(folder, "a.wmap", first);
  const std::string b = written(folder, "b.wmap", second);
  return lines_of(compared(a, b, options));
}

void set_float(WholeContent& whole, std::size_t at, float value) {
  std::memcpy(whole.segments[0].data() + at * sizeof value, &value, sizeof value);
}

void untie(WholeContent& whole) {
  whole.content.tensors[1].segment = 2;
  whole.segments.push_back(whole.segments[0]);
}

TEST_SUITE_BEGIN("convert/diff");

TEST_CASE("elements differ as PyTorch says that they do") {
  const auto expected = nlohmann::json::parse(std::ifstream(kData + "/diff/changes.json"));
  const TempDir folder;
  const std::string first = kData + "/diff/first.pt";
  const std::string second = kData + "/diff/second.pt";
  struct Row {
    std::string first, second;
  };
  const Row rows[] = {{first, second},
                      {converted(folder, first), converted(folder, second)},
                      {converted(folder, first), second}};
  for (const Row& row : rows) {
    CAPTURE(row.first);
    const DiffReport report = compared(row.first, row.second, {.only_tensors = true});
    CHECK(report.compared == expected.size());
    std::size_t found = 0;
    for (const TensorDifference& tensor : report.tensors) {
      CAPTURE(tensor.name);
      const nlohmann::json& of = expected.at(tensor.name);
      CHECK(tensor.elements.has_value() == !of.is_null());
      if (!tensor.elements) continue;
      ++found;
      CHECK(tensor.elements->elements == of.at("elements"));
      CHECK(tensor.elements->changed == of.at("changed"));
      CHECK(tensor.elements->nan_only_in_first == of.at("nan_only_in_first"));
      CHECK(tensor.elements->nan_only_in_second == of.at("nan_only_in_second"));
      CHECK(tensor.elements->largest.has_value() == !of.at("largest").is_null());
      if (!tensor.elements->largest) continue;
      const bool infinite = of.at("largest") == "inf";
      CHECK(*tensor.elements->largest == (infinite ? INFINITY : of.at("largest").get<double>()));
    }
    std::size_t changed = 0;
    for (const auto& of : expected)
      changed += of.is_null() ? 0 : 1;
    CHECK(found == changed);
  }
}

TEST_CASE("a checkpoint of any kind equals its weight file and what is exported from that") {
  const std::string sources[] = {
      "checkpoints/torch-2.13/attributes.pt",   "checkpoints/torch-2.13/conj_neg.pt",
      "checkpoints/torch-2.13/dtypes.pt",       "checkpoints/torch-2.13/many.pt",
      "checkpoints/torch-2.13/meta.pt",         "checkpoints/torch-2.13/shapes.pt",
      "checkpoints/torch-2.13/training.pt",     "checkpoints/torch-2.13/views.pt",
      "checkpoints/torch-1.13/bare_tensor.pt",  "checkpoints/composites/torch-2.13.pt",
      "checkpoints/containers/zip_deflated.pt", "checkpoints/containers/zip_big_endian_v3.pt",
      "checkpoints/containers/legacy_1_13.pt",  "checkpoints/containers/tar_objects.pt",
      "sources/safetensors/dtypes.safetensors", "sources/distributed_chunks",
  };
  for (const std::string& source : sources) {
    CAPTURE(source);
    const TempDir folder;
    const std::string path = kData + "/" + source;
    const std::string weight_file = converted(folder, path);
    exported(weight_file, folder / "exported.pt");
    CHECK(lines_of(compared(path, weight_file)) == Strings());
    CHECK(lines_of(compared(weight_file, path)) == Strings());
    CHECK(lines_of(compared(path, folder / "exported.pt")) == Strings());
    const DiffReport report = compared(weight_file, folder / "exported.pt");
    CHECK(report.compared == report.first.tensors);
    CHECK(report.first.kind == "weight file");
    CHECK(report.second.kind == "zip checkpoint");
  }
}

TEST_CASE("what a format cannot say is missed unless only tensors are compared") {
  const TempDir folder;
  const std::string shards = kData + "/sources/sharded";  // with metadata in its index
  exported(converted(folder, shards), folder / "exported.pt");
  CHECK(lines_of(compared(shards, folder / "exported.pt")) ==
        Strings{"value __dict__: dict of 2 vs nothing"});
  CHECK(lines_of(compared(shards, folder / "exported.pt", {.only_tensors = true})) == Strings());
}

TEST_CASE(
    "an adopted checkpoint equals the converted one without reading where both have digests") {
  const TempDir folder;
  std::filesystem::copy(kData + "/checkpoints/torch-2.13/state_dict.pt", folder / "a.pt");
  REQUIRE(adopt_checkpoint(folder / "a.pt", folder / "with.wmap", {.sync = false}));
  REQUIRE(adopt_checkpoint(folder / "a.pt", folder / "without.wmap",
                           {.digests = false, .sync = false}));
  const std::string weight_file = converted(folder, folder / "a.pt");
  const DiffReport told = compared(weight_file, folder / "with.wmap");
  CHECK(lines_of(told) == Strings());
  CHECK(told.read_bytes == 0);
  const DiffReport read = compared(weight_file, folder / "without.wmap");
  CHECK(lines_of(read) == Strings());
  CHECK(read.read_bytes == 436);
  CHECK(compared(folder / "without.wmap", folder / "without.wmap").read_bytes == 436);
}

TEST_CASE("each kind of difference is told by itself") {
  struct Row {
    const char* what;
    void (*edit)(WholeContent&);
    Strings lines;
  };
  const Row rows[] = {
      {"nothing", [](WholeContent&) {}, {}},
      {"another alignment", [](WholeContent& it) { it.content.alignment_bytes = 4096; }, {}},
      {"another producer", [](WholeContent& it) { it.content.producer = "somebody"; }, {}},
      {"a name",
       [](WholeContent& it) { it.content.tensors[2].name = "d"; },
       {"first: c", "second: d"}},
      {"a dtype",
       [](WholeContent& it) { it.content.tensors[2].dtype = Dtype::kUInt64; },
       {"c: dtype int64 vs uint64"}},
      {"a dtype without numbers",
       [](WholeContent& it) {
         it.content.tensors[2].dtype = Dtype::kBits16;
         it.content.tensors[2].shape = {2};
       },
       {"c: dtype int64 vs bits16"}},
      {"a shape",
       [](WholeContent& it) { it.content.tensors[2].shape = {1}; },
       {"c: shape [2] vs [1]"}},
      {"strides and so elements",
       [](WholeContent& it) {
         it.content.tensors[1].strides = {1, 2};
       },
       {"b: strides [3, 1] vs [1, 2]", "b: 4 of 6 by 2.0", "first ties a = b"}},
      {"flags",
       [](WholeContent& it) { it.content.tensors[2].flags = format::kBuffer; },
       {"c: flags none vs buffer"}},
      {"more flags",
       [](WholeContent& it) { it.content.tensors[0].flags |= format::kRequiresGrad; },
       {"a: flags parameter vs parameter, requires_grad"}},
      {"a tensor stored negated",
       [](WholeContent& it) { it.content.tensors[0].flags |= format::kNeg; },
       {"a: flags parameter vs parameter, neg", "a: 6 of 6 by 12.0", "first ties a = b"}},
      {"integers stored negated",
       [](WholeContent& it) { it.content.tensors[2].flags |= format::kNeg; },
       {"c: flags none vs neg"}},
      {"no values",
       [](WholeContent& it) {
         it.content.tensors[2].segment = format::kNoSegment;
         it.content.tensors[2].flags = format::kMeta;
         it.segments.pop_back();
       },
       {"c: presence values vs meta"}},
      {"an element of a tied tensor",
       [](WholeContent& it) { set_float(it, 4, 5.5F); },
       {"a: 1 of 6 by 0.5", "b: 1 of 6 by 0.5"}},
      {"a NaN", [](WholeContent& it) { set_float(it, 4, NAN); }, {"a: 1 of 6", "b: 1 of 6"}},
      {"a tie", untie, {"first ties a = b"}},
      {"a version",
       [](WholeContent& it) {
         it.content.modules = {{"", 1}, {"bn", 1}, {"fc", 1}};
       },
       {"module bn: 2 vs 1", "module fc: nothing vs 1"}},
      {"a value",
       [](WholeContent& it) {
         ValueGraph graph;
         const std::uint32_t other[] = {graph.add_text(ValueKind::kStr, "epoch"),
                                        graph.add_number(ValueKind::kInt, 6)};
         graph.add_parent(ValueKind::kDict, other);
         it.content.values = graph;
       },
       {"value epoch: 5 vs 6"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    WholeContent other = small_content();
    row.edit(other);
    CHECK(difference_to(small_content(), other) == row.lines);
  }
}

TEST_CASE("ties of either side are told where the other has other bytes") {
  WholeContent apart = small_content();
  untie(apart);
  CHECK(difference_to(apart, small_content()) == Strings{"second ties a = b"});
  CHECK(difference_to(apart, apart) == Strings());
}

TEST_CASE("tensors alone are compared when asked for") {
  WholeContent other = small_content();
  other.content.tensors[0].flags = 0;
  other.content.modules.clear();
  other.content.values = {};
  other.content.values.add_number(ValueKind::kNone, 0);
  untie(other);
  other.content.tensors[1].strides = {1, 2};
  const float transposed[] = {1, 4, 2, 5, 3, 6};
  std::memcpy(other.segments[2].data(), transposed, sizeof transposed);
  CHECK(difference_to(small_content(), other, {.only_tensors = true}) == Strings());
  CHECK(difference_to(small_content(), other).size() > 3);
  other.content.tensors[2].flags = format::kNeg;
  CHECK(difference_to(small_content(), other, {.only_tensors = true}) ==
        Strings{"c: flags none vs neg"});
}

TEST_CASE("composites are compared in their numbers and part by part") {
  const WholeContent whole = tests::composites_content();
  CHECK(difference_to(whole, whole) == Strings());
  for (std::size_t i = 0; i < whole.content.composites.size(); ++i) {
    const std::string name = whole.content.composites[i].name;
    CAPTURE(name);
    WholeContent other = whole;
    const format::CompositeContent& composite = whole.content.composites[i];
    other.content.composites[i].flags = composite.flags ^ format::kRequiresGrad;
    CHECK(difference_to(whole, other).size() == 1);
    for (const format::PartContent& part : composite.parts) {
      const format::TensorContent& tensor = whole.content.tensors[part.tensor];
      if (part.role != "values" || std::ranges::count(tensor.shape, 0) > 0) continue;
      other = whole;
      other.segments[tensor.segment][tensor.offset_bytes] ^= std::byte{1};
      const Strings lines = difference_to(whole, other);
      REQUIRE_FALSE(lines.empty());
      CHECK(std::ranges::any_of(lines, [&](const std::string& line) {
        return line.starts_with(name + ".values: 1 of ");
      }));
    }
  }
}

TEST_CASE("scale and kind of a composite are told") {
  const WholeContent whole = tests::composites_content();
  const auto quantized =
      std::ranges::find(whole.content.composites, CompositeKind::kQuantizedPerTensor,
                        &format::CompositeContent::kind);
  REQUIRE(quantized != whole.content.composites.end());
  const auto at = static_cast<std::size_t>(quantized - whole.content.composites.begin());
  WholeContent other = whole;
  other.content.composites[at].reals[0] = 0.0625;
  other.content.composites[at].integers[0] = 9;
  const Strings lines = difference_to(whole, other);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with(quantized->name + ": numbers "));
  CHECK(lines[0].ends_with(" vs 0.0625, 9"));
}

TEST_CASE("equal weight files of any size are told by their digests") {
  for (const WholeContent& whole : {tests::features_content(), tests::composites_content()}) {
    const TempDir folder;
    const std::string path = written(folder, "a.wmap", whole);
    WholeContent aligned = whole;
    aligned.content.alignment_bytes = 4096;  // so that the index is another
    const std::string other = written(folder, "b.wmap", aligned);
    const DiffReport report = compared(path, other);
    CHECK(lines_of(report) == Strings());
    CHECK(report.read_bytes == 0);
  }
}

TEST_CASE("only the tensors of segments that differ are read") {
  const TempDir folder;
  WholeContent other = small_content();
  other.segments[1][0] ^= std::byte{1};
  const DiffReport report =
      compared(written(folder, "a.wmap", small_content()), written(folder, "b.wmap", other));
  CHECK(lines_of(report) == Strings{"c: 1 of 2 by 1.0"});
  CHECK(report.read_bytes == 16);
}

TEST_CASE("a part of a checkpoint is compared with a file that holds just that") {
  const TempDir folder;
  const std::string training = kData + "/checkpoints/torch-2.13/training.pt";
  const std::string model = converted(folder, training, {.checkpoint = {.root = "model"}});
  CHECK(lines_of(compared(training, model, {.first = {.root = "model"}})) == Strings());
  CHECK(lines_of(compared(model, training, {.second = {.root = "model"}})) == Strings());
  CHECK_FALSE(compared(training, model).equal());
  const auto refused = diff(training, model, {.second = {.root = "model"}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kInvalidArgument);
  CHECK(refused.error().message() == model + ": a root is for checkpoints, this is a weight file");
}

TEST_CASE("progress counts to the end and stops the work") {
  const TempDir folder;
  const std::string first = kData + "/diff/first.pt";
  const std::string second = kData + "/diff/second.pt";
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  const auto look = [&](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    CHECK(done_bytes >= done);
    done = done_bytes;
    total = total_bytes;
    return true;
  };
  const DiffReport report = compared(first, second, {.progress = look});
  CHECK(done == total);
  CHECK(report.read_bytes == total);
  const auto stopped =
      diff(first, second, {.progress = [](std::uint64_t, std::uint64_t) { return false; }});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == ErrorCode::kCancelled);
  CHECK(stopped.error().message() == first + ": cancelled");
}

TEST_CASE("what cannot be read on either side is an error that names it") {
  const TempDir folder;
  const std::string good = kData + "/checkpoints/torch-2.13/state_dict.pt";
  const std::string weight_file = converted(folder, good);
  const std::string bytes = tests::read_file(good);
  tests::write_file(folder / "short.pt", std::string_view(bytes).substr(0, bytes.size() / 2));
  std::string front = tests::read_file(weight_file);
  tests::write_file(folder / "short.wmap", std::string_view(front).substr(0, front.size() - 64));
  front[200] ^= 1;
  tests::write_file(folder / "damaged.wmap", front);
  struct Row {
    std::string name;
    ErrorCode code;
  };
  const Row rows[] = {{"absent", ErrorCode::kNotFound},
                      {"short.pt", ErrorCode::kCorrupt},
                      {"short.wmap", ErrorCode::kCorrupt},
                      {"damaged.wmap", ErrorCode::kCorrupt}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const auto& result : {diff(good, folder / row.name), diff(folder / row.name, good)}) {
      REQUIRE_FALSE(result);
      CAPTURE(result.error().message());
      CHECK(result.error().code() == row.code);
      CHECK(result.error().message().starts_with(folder / row.name));
    }
  }
}

TEST_CASE("a compressed storage that is damaged is an error") {
  const TempDir folder;
  const std::string good = kData + "/checkpoints/containers/zip_deflated.pt";
  const auto content = read_checkpoint(good);
  REQUIRE(content);
  std::string bytes = tests::read_file(good);
  std::size_t failures = 0;
  for (const CheckpointTensor& tensor : content->tensors) {
    if (!tensor.segment) continue;
    std::string damaged = bytes;
    damaged[tensor.segment_offset_bytes] = '\x07';  // a block of a kind that there is not
    tests::write_file(folder / "damaged.pt", damaged);
    const auto result = diff(good, folder / "damaged.pt");
    if (result) continue;
    ++failures;
    CHECK(result.error().code() == ErrorCode::kCorrupt);
  }
  CHECK(failures > 0);
}

// As a DEFLATE stream of stored blocks (RFC 1951, 3.2.4).
std::string deflated(std::string_view bytes) {
  constexpr std::size_t kBlockBytes = 65'535;
  std::string stream;
  while (!bytes.empty()) {
    const std::string_view block = bytes.substr(0, kBlockBytes);
    bytes.remove_prefix(block.size());
    stream += bytes.empty() ? '\x01' : '\x00';
    stream += tests::pickle::little(block.size(), 2) + tests::pickle::little(~block.size(), 2);
    stream += block;
  }
  return stream;
}

// A checkpoint of `count` tensors that view one compressed storage of 4 MiB, the last part first.
std::string backward_checkpoint(std::int64_t count) {
  namespace pickle = tests::pickle;
  constexpr std::int64_t kElements = 1 << 20U;
  std::vector<std::string> items;
  for (std::int64_t i = 0; i < count; ++i) {
    items.push_back(pickle::text(std::to_string(i)));
    items.push_back(pickle::tensor({.numel = kElements, .offset = kElements - 4 * (i + 1)}));
  }
  const std::string bytes = tests::noise(kElements * 4);
  auto entries = tests::checkpoint_entries(pickle::whole(pickle::dict(items)), {{"0", bytes}});
  tests::ZipEntry& storage = tests::entry_named(entries, "archive/data/0");
  storage.size_bytes = bytes.size();
  storage.crc32 = tests::crc32(bytes);
  storage.data = deflated(bytes);
  storage.method = 8;
  return tests::write_zip(entries);
}

TEST_CASE("a compressed storage is unpacked again only so often") {
  const TempDir folder;
  tests::write_file(folder / "few.pt", backward_checkpoint(20));
  CHECK(lines_of(compared(folder / "few.pt", converted(folder, folder / "few.pt"))) == Strings());
  tests::write_file(folder / "many.pt", backward_checkpoint(200));
  const auto result = diff(folder / "many.pt", folder / "many.pt");
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == ErrorCode::kUnsupported);
  CHECK(result.error().message() ==
        (folder / "many.pt") +
            ": storage `0` is compressed and its tensors stand in another order than they are "
            "compared: convert it first and compare the weight file");
}

TEST_CASE("tensors that overlap without end are refused and repeated elements are not read twice") {
  const std::int64_t many = std::int64_t{1} << 30U;
  WholeContent whole = small_content();
  whole.content.tensors[2] = {
      .name = "c", .dtype = Dtype::kInt64, .segment = 1, .shape = {many, many}, .strides = {0, 0}};
  WholeContent other = whole;
  other.segments[1][0] ^= std::byte{1};
  CHECK(difference_to(whole, other) ==
        Strings{"c: 1152921504606846976 of 1152921504606846976 by 1.0"});

  other.content.tensors[2].strides = {1, 0};
  whole.content.tensors[2].shape = {2, many};
  other.content.tensors[2].shape = {2, many};
  CHECK(difference_to(whole, other) ==
        Strings{"c: strides [0, 0] vs [1, 0]", "c: 2147483648 of 2147483648 by 1.0"});

  const std::int64_t some = 1 << 17U;
  whole.segments[1] = tests::Bytes(2 * some * 8);
  whole.content.tensors[2].shape = {some, some};
  whole.content.tensors[2].strides = {1, 1};
  other = whole;
  other.segments[1][0] ^= std::byte{1};
  const TempDir folder;
  const auto result = diff(written(folder, "a.wmap", whole), written(folder, "b.wmap", other));
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == ErrorCode::kUnsupported);
  CHECK(result.error().message() ==
        (folder / "a.wmap") +
            ": tensor `c`: it or what stands before it overlaps so often that comparing it would "
            "not end");
}

}  // namespace
}  // namespace weightmap
