// SPDX-License-Identifier: Apache-2.0
// A plan is held against bind(): of two equal modules one is bound by each, to the same file.
#include "weightmap/bind_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/module.h"

#include "base/hash.h"
#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/resign.h"
#include "support/synthetic_model.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::tensor_in;
using OtherStructure = BindPlan::OtherStructure;
using Strings = std::vector<std::string>;

struct Linear : Module {
  Linear(Module& parent, std::string_view name)
      : Module(parent, name), weight(*this, "weight", {2, 3}), bias(*this, "bias", {2}) {}
  Parameter<float> weight, bias;
};

// `head` is `fc` under another name.
struct Net : Module {
  Linear first{*this, "first"};
  Linear fc{*this, "fc"};
  Slot any{{.shape = {2}, .any_dtype = true}};
  Slot lazy{{.lazy = true}};
  Buffer<std::int64_t> count{*this, "count", {}};
  Net() {
    register_module("head", fc);
    register_parameter("any", any);
    register_parameter("lazy", lazy);
  }
  std::vector<const Slot*> all() const {
    return {&first.weight, &first.bias, &fc.weight, &fc.bias, &any, &lazy, &count};
  }
};

// A file for Net whose values begin at `from`.
struct Sample {
  format::Content content;
  std::vector<std::vector<std::byte>> segments;

  explicit Sample(float from = 0) {
    std::vector<float> values(24);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = from + static_cast<float>(i);
    segments = {bytes_of(values), bytes_of(std::vector<std::int64_t>{static_cast<int>(from)})};
    add("any", {2}, 0);
    add("lazy", {1, 2, 3}, 8);
    content.tensors.push_back(tensor_in(1, "count", {}, Dtype::kInt64));
    add("first.weight", {2, 3}, 32);
    add("first.bias", {2}, 56);
    for (const std::string name : {"fc", "head"}) {
      add(name + ".weight", {2, 3}, 64);
      add(name + ".bias", {2}, 88);
    }
  }
  void add(std::string name, std::vector<std::int64_t> shape, std::uint64_t offset_bytes) {
    content.tensors.push_back(tensor_in(0, std::move(name), std::move(shape)));
    content.tensors.back().offset_bytes = offset_bytes;
  }
  format::TensorContent& at(std::string_view name) {
    return *std::ranges::find(content.tensors, name, &format::TensorContent::name);
  }
  WeightFile open() const { return open_built(build_file(content, segments)); }
};

Strings strings(std::span<const std::string> from) {
  return {from.begin(), from.end()};
}

Strings matched(const LoadReport& report) {
  Strings names;
  for (std::size_t i = 0; i < report.matched_count(); ++i)
    names.emplace_back(report.matched(i));
  return names;
}

void check_same(const LoadReport& found, const LoadReport& expected) {
  CHECK(found.ok() == expected.ok());
  CHECK(found.text() == expected.text());
  CHECK(matched(found) == matched(expected));
  CHECK(strings(found.missing()) == strings(expected.missing()));
  CHECK(strings(found.unexpected()) == strings(expected.unexpected()));
  REQUIRE(found.mismatched().size() == expected.mismatched().size());
  for (std::size_t i = 0; i < found.mismatched().size(); ++i)
    CHECK(found.mismatched()[i].text == expected.mismatched()[i].text);
  CHECK(found.tie_differences().size() == expected.tie_differences().size());
  if (found.matched_count() > 0) CHECK(found.origin(0) == expected.origin(0));
}

void check_same(const Net& found, const Net& expected) {
  const auto slots = found.all();
  const auto others = expected.all();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    CAPTURE(i);
    CHECK(slots[i]->is_bound() == others[i]->is_bound());
    CHECK(slots[i]->bytes() == others[i]->bytes());
    CHECK(slots[i]->dtype() == others[i]->dtype());
    CHECK(std::ranges::equal(slots[i]->shape(), others[i]->shape()));
    CHECK(std::ranges::equal(slots[i]->strides(), others[i]->strides()));
  }
}

// The plan of one net is bound to a file, a second net without a plan is, too.
void check_as_bind(const WeightFile& planned,
                   const WeightFile& file,
                   const LoadOptions& options = {},
                   OtherStructure other = OtherStructure::kRefuse) {
  Net net;
  Net expected;
  const auto plan = BindPlan::prepare(net, planned, options);
  REQUIRE_MESSAGE(plan, plan.error().message());
  REQUIRE(bind(expected, planned, options).ok());
  check_same(net, expected);
  const LoadReport report = bind(expected, file, options);
  check_same(plan->bind(file, other), report);
  check_same(net, expected);
}

TEST_SUITE_BEGIN("runtime/bind_plan");

TEST_CASE("a plan binds to another file of its structure as bind does") {
  const WeightFile first = Sample(0).open();
  check_as_bind(first, Sample(100).open());
  check_as_bind(first, first);

  Net net;
  const auto plan = BindPlan::prepare(net, first);
  REQUIRE(plan);
  CHECK(net.fc.bias.values()[1] == 23.0F);
  CHECK(plan->bind(Sample(100).open()).text() == "bound 9 tensors, 0 missing, 0 unexpected");
  CHECK(net.fc.bias.values()[1] == 123.0F);
  CHECK(net.count[0] == 100);
  CHECK(plan->bind(first).ok());
  CHECK(net.fc.bias.values()[1] == 23.0F);
}

TEST_CASE("tensors may lie at other places of the second file") {
  Sample other(100);
  std::swap(other.at("first.weight").offset_bytes, other.at("fc.weight").offset_bytes);
  other.at("head.weight").offset_bytes = other.at("fc.weight").offset_bytes;
  std::swap(other.segments[0], other.segments[1]);
  for (format::TensorContent& tensor : other.content.tensors)
    tensor.segment = 1 - tensor.segment;
  check_as_bind(Sample().open(), other.open());
}

TEST_CASE("the module keeps the files that a plan binds alive, and no others") {
  Net net;
  std::weak_ptr<tests::AlignedBytes> first_bytes;
  std::weak_ptr<tests::AlignedBytes> second_bytes;
  const auto prepared = [&] {
    const Sample sample;
    const auto built = build_file(sample.content, sample.segments);
    first_bytes = built;
    return BindPlan::prepare(net, open_built(built));
  }();
  REQUIRE(prepared);
  CHECK_FALSE(first_bytes.expired());
  {
    const Sample sample(100);
    const auto built = build_file(sample.content, sample.segments);
    second_bytes = built;
    CHECK(prepared->bind(open_built(built)).ok());
  }
  CHECK(first_bytes.expired());
  CHECK_FALSE(second_bytes.expired());
  CHECK(net.first.weight.values()[0] == 108.0F);
  CHECK(prepared->bind(Sample().open()).ok());
  CHECK(second_bytes.expired());
}

TEST_CASE("a slot that a plan leaves alone keeps its own file alive") {
  const auto without_bias = [](float from) {
    Sample sample(from);
    sample.at("first.bias").name = "first.other";
    return sample.open();
  };
  Net net;
  std::weak_ptr<tests::AlignedBytes> bytes;
  {
    const Sample sample;
    const auto built = build_file(sample.content, sample.segments);
    bytes = built;
    REQUIRE(bind(net, open_built(built)).ok());
  }
  const auto plan = BindPlan::prepare(net, without_bias(100), {.strict = false});
  REQUIRE(plan);
  for (const float from : {200.0F, 300.0F}) {
    CHECK(plan->bind(without_bias(from)).ok());
    CHECK_FALSE(bytes.expired());
    CHECK(net.first.weight.values()[0] == from + 8);
    CHECK(net.first.bias.values()[0] == 14.0F);
  }
}

TEST_CASE("a file of another structure is refused, or bound by its names if so asked") {
  const WeightFile first = Sample().open();
  Sample other(100);
  std::ranges::reverse(other.content.tensors);
  const WeightFile reordered = other.open();
  Net net;
  const auto plan = BindPlan::prepare(net, first);
  REQUIRE(plan);
  const LoadReport report = plan->bind(reordered);
  CHECK_FALSE(report.ok());
  CHECK(
      report.text().starts_with("Error(s) in loading state_dict for Net:\n\tbuilt: is not of the "
                                "plan's structure, "));
  CHECK(report.matched_count() == 0);
  CHECK(net.first.bias.values()[0] == 14.0F);

  check_as_bind(first, reordered, {}, OtherStructure::kBind);
  other.content.tensors.pop_back();
  check_as_bind(first, other.open(), {}, OtherStructure::kBind);
}

TEST_CASE("one other stride, shape, dtype, flag or name is another structure") {
  const WeightFile first = Sample().open();
  void (*const changes[])(Sample&) = {
      [](Sample& s) {
        s.at("first.weight").strides = {1, 2};
      },
      [](Sample& s) {
        s.at("lazy").shape = {3, 2}, s.at("lazy").strides = {2, 1};
      },
      [](Sample& s) { s.at("any").dtype = Dtype::kInt32; },
      [](Sample& s) { s.at("any").flags = format::kParameter; },
      [](Sample& s) { s.at("any").name = "ant"; },
  };
  for (const auto change : changes) {
    Sample other;
    change(other);
    Net net;
    const auto plan = BindPlan::prepare(net, first);
    REQUIRE(plan);
    CHECK_FALSE(plan->bind(other.open()).ok());
    CHECK(net.any.bytes() == first.find("any")->data());
  }
}

TEST_CASE("slots that are one in the module must be one in the second file, too") {
  Sample other(100);
  other.at("head.bias").offset_bytes = 56;
  const WeightFile file = other.open();
  check_as_bind(Sample().open(), file);
  Net net;
  const auto plan = BindPlan::prepare(net, Sample().open());
  REQUIRE(plan);
  const LoadReport report = plan->bind(file);
  REQUIRE(report.mismatched().size() == 1);
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kTie);
  CHECK(net.first.weight.values()[0] == 8.0F);
}

struct Floats : Module {
  Parameter<float> w{*this, "w", {4}};
};

// A weight file whose one tensor lies in another file, at a multiple of `step` or not.
class Beside {
 public:
  Beside(const tests::TempDir& dir, const std::string& name, std::uint64_t begin)
      : path_(dir / (name + ".wmap")), data_(dir / name) {
    const std::vector<float> values{1, 2, 3, 4};
    const std::string header = R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";
    std::string bytes(1, static_cast<char>(begin - 8));
    bytes += std::string(7, '\0') + header;
    bytes.resize(begin, ' ');
    format::Content content;
    content.tensors = {tensor_in(0, "w", {4})};
    content.data_files = {{.name = name,
                           .kind = fb::DataFileKind::safetensors,
                           .size_bytes = begin + 16,
                           .alignment_bytes = 1,
                           .identity = digest_of(tests::bytes_of(bytes)),
                           .segments = {{begin, 16}}}};
    const auto floats = bytes_of(values);
    bytes += tests::text_of(floats);
    tests::write_file(data_, bytes);
    const auto built = build_file(content, {}, {digest_of(floats)});
    tests::write_file(path_, tests::text_of(built->bytes()));
  }
  const std::string& data() const { return data_; }
  WeightFile open() const { return *WeightFile::open(path_, {.need_data_files = false}); }

 private:
  std::string path_;
  std::string data_;
};

TEST_CASE("what lies at no multiple of the slot's alignment is told as bind tells it") {
  const tests::TempDir dir;
  const Beside right(dir, "right", 72);
  const Beside odd(dir, "odd", 73);
  Floats net;
  const auto plan = BindPlan::prepare(net, right.open());
  REQUIRE_MESSAGE(plan, plan.error().message());
  const WeightFile file = odd.open();
  const LoadReport report = plan->bind(file);
  REQUIRE(report.mismatched().size() == 1);
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kAlignment);
  CHECK(net.w.values()[3] == 4.0F);

  // A slot that asks for no alignment takes it.
  Module root;
  Slot bytes({.shape = {4}});
  root.register_parameter("w", bytes);
  const auto loose = BindPlan::prepare(root, right.open());
  REQUIRE(loose);
  CHECK(loose->bind(file).ok());
  CHECK(bytes.bytes() == file.tensor(0).data());
}

TEST_CASE("each slot is held against its own alignment, not that of others") {
  for (const std::size_t alignment : {std::size_t{1}, std::size_t{4}, std::size_t{8}}) {
    CAPTURE(alignment);
    Slot first({.shape = {1}, .alignment_bytes = 64});
    Slot second({.shape = {1}, .alignment_bytes = alignment});
    Module root;
    root.register_parameter("first", first);
    root.register_parameter("second", second);
    format::Content content;
    content.tensors = {tensor_in(0, "first", {1}), tensor_in(0, "second", {1})};
    content.tensors[1].offset_bytes = 8;
    const std::vector<std::vector<std::byte>> segments{std::vector<std::byte>(16)};
    const auto plan = BindPlan::prepare(root, open_built(build_file(content, segments)));
    REQUIRE(plan);
    content.tensors[1].offset_bytes = 4;
    CHECK(plan->bind(open_built(build_file(content, segments))).ok() == (alignment <= 4));
  }
}

TEST_CASE("a tensor whose data file is gone is told as bind tells it") {
  const tests::TempDir dir;
  const Beside right(dir, "right", 72);
  const Beside gone(dir, "gone", 72);
  REQUIRE(std::remove(gone.data().c_str()) == 0);
  Floats net;
  const auto plan = BindPlan::prepare(net, right.open());
  REQUIRE(plan);
  const LoadReport report = plan->bind(gone.open());
  REQUIRE(report.mismatched().size() == 1);
  CHECK(report.mismatched()[0].reason == Mismatch::Reason::kValues);
  CHECK(net.w.values()[0] == 1.0F);
}

TEST_CASE("a prefix, missing and unexpected keys, ignored sizes are as bind has them") {
  const auto prefixed = [](float from) {
    Sample sample(from);
    for (format::TensorContent& tensor : sample.content.tensors)
      tensor.name = "model." + tensor.name;
    sample.add("optimizer", {2}, 0);
    return sample;
  };
  check_as_bind(prefixed(0).open(), prefixed(100).open(), {.prefix = "model."});

  const auto partial = [](float from) {
    Sample sample(from);
    sample.at("first.weight").name = "first.other";
    sample.at("first.bias").shape = {1};
    sample.add("more", {2}, 0);
    return sample;
  };
  check_as_bind(partial(0).open(), partial(100).open(),
                {.strict = false, .ignore_mismatched_sizes = true});
  Net net;
  const auto plan =
      BindPlan::prepare(net, partial(0).open(), {.strict = false, .ignore_mismatched_sizes = true});
  REQUIRE(plan);
  const LoadReport report = plan->bind(partial(100).open());
  CHECK(strings(report.missing()) == Strings{"first.weight"});
  CHECK(strings(report.unexpected()) == Strings{"more", "first.other"});
  REQUIRE(report.mismatched().size() == 1);
  CHECK(report.mismatched()[0].key == "first.bias");
  CHECK_FALSE(net.first.bias.is_bound());
}

TEST_CASE("slots that were bound or loaded otherwise in between are pointed again") {
  const WeightFile first = Sample().open();
  Net net;
  const auto plan = BindPlan::prepare(net, first);
  REQUIRE(plan);
  net.first.bias.allocate();
  Sample other(100);
  other.at("any").dtype = Dtype::kInt32;
  REQUIRE(bind(net, other.open()).ok());
  CHECK(net.any.dtype() == Dtype::kInt32);
  REQUIRE(load(net, first).ok());
  CHECK(plan->bind(first).ok());
  Net expected;
  REQUIRE(bind(expected, first).ok());
  check_same(net, expected);
}

TEST_CASE("a lazy slot without a tensor stays lazy, and is told when it no longer is") {
  const auto uninitialized = [](float from) {
    Sample sample(from);
    format::TensorContent& lazy = sample.at("lazy");
    lazy = {.name = "lazy", .flags = format::kUninitialized};
    return sample.open();
  };
  check_as_bind(uninitialized(0), uninitialized(100));
  Net net;
  const auto plan = BindPlan::prepare(net, uninitialized(0));
  REQUIRE(plan);
  REQUIRE(bind(net, Sample().open()).ok());
  CHECK_FALSE(plan->bind(uninitialized(100)).ok());
}

TEST_CASE("a plan that cannot be made changes nothing and says why") {
  Sample sample;
  sample.at("first.bias").name = "first.other";
  Net net;
  const auto plan = BindPlan::prepare(net, sample.open());
  REQUIRE_FALSE(plan);
  CHECK(plan.error().code() == ErrorCode::kMismatch);
  CHECK(plan.error().message() == bind(net, sample.open()).text());
  CHECK_FALSE(net.fc.weight.is_bound());

  Net hooked;
  hooked.fc.register_extra_state({}, [](const StateItem&) { return Result<void>(); });
  const auto with_hooks = BindPlan::prepare(hooked, Sample().open());
  REQUIRE_FALSE(with_hooks);
  CHECK(with_hooks.error().code() == ErrorCode::kUnsupported);
  CHECK(
      with_hooks.error().message() ==
      "module `fc` (Linear): has load hooks, a load step or extra state, which a plan cannot ask");
  CHECK_FALSE(hooked.first.weight.is_bound());
}

TEST_CASE("a wrong structure digest makes no plan and is bound by none") {
  const Sample sample;
  const WeightFile right = sample.open();
  const auto built = build_file(sample.content, sample.segments);
  const auto index = tests::index_part(built->bytes());
  index[tests::structure_digest_place(index)] ^= std::byte{1};
  tests::resign_index(built->bytes());
  const WeightFile forged = open_built(built);
  Net net;
  const auto plan = BindPlan::prepare(net, right);
  REQUIRE(plan);
  for (const LoadReport& report : {plan->bind(forged), plan->bind(forged, OtherStructure::kBind)}) {
    CHECK_FALSE(report.ok());
    CHECK(report.text().find("R22") != std::string::npos);
  }
  CHECK(net.count.bytes() == right.find("count")->data());
  const auto none = BindPlan::prepare(net, forged);
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == ErrorCode::kCorrupt);
}

TEST_CASE("a copy of a plan binds as well, and reports outlive it") {
  Net net;
  std::optional<LoadReport> report;
  {
    const BindPlan plan = *BindPlan::prepare(net, Sample().open());
    const BindPlan copy = plan;
    report = copy.bind(Sample(100).open());
  }
  CHECK(report->ok());
  CHECK(report->matched(0) == "any");
  CHECK(report->origin(0) == "built");
}

TEST_CASE("a tree of many modules is bound by a plan") {
  const tests::TempDir dir;
  const tests::SyntheticModel model = tests::wide_model(300);
  tests::write_weight_file(model, dir / "a.wmap");
  tests::write_weight_file(model, dir / "b.wmap");
  tests::ModuleTree tree(model);
  const auto plan = BindPlan::prepare(tree.root(), *WeightFile::open(dir / "a.wmap"));
  REQUIRE(plan);
  const WeightFile second = *WeightFile::open(dir / "b.wmap");
  CHECK(plan->bind(second).matched_count() == model.size());
  for (const Module::NamedSlot& named : tree.root().named_parameters())
    CHECK(named.slot->bytes() == second.find(named.name)->data());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
