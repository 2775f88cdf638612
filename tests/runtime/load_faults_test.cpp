// SPDX-License-Identifier: Apache-2.0
// What files, hooks and the order in which modules die can do to a load. Under the sanitizers these
// are tests of memory, too.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/save.h"

#include "format/index_view.h"
#include "support/built_file.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

// Memory that there is not is a null pointer, under the sanitizers as without them.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::TempDir;
using tests::tensor_in;
using Floats = std::vector<float>;
using Shape = std::vector<std::int64_t>;

StateTensor floats(Shape shape, const Floats& values) {
  return StateTensor::copy_of<float>(std::move(shape), values);
}

// One double that is said to be many.
StateTensor expanded(std::int64_t count) {
  const auto owner = std::make_shared<double>(1.5);
  return StateTensor::over({.dtype = Dtype::kFloat64, .shape = {count}, .strides = Shape{0}},
                           reinterpret_cast<const std::byte*>(owner.get()), owner);
}

Floats values_of(const Slot& slot) {
  const auto* const first = reinterpret_cast<const float*>(slot.bytes());
  return {first, first + slot.element_count()};
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

WeightFile file_of(const StateDict& state_dict, const TempDir& dir) {
  REQUIRE(save(state_dict, dir / "saved.wmap"));
  const auto file = WeightFile::open(dir / "saved.wmap");
  REQUIRE(file);
  return *file;
}

TEST_SUITE_BEGIN("runtime/load_faults");

TEST_CASE("a tensor that is said to be larger than memory changes nothing") {
  for (const std::int64_t count : {std::int64_t{1} << 45, std::int64_t{1} << 59}) {
    CAPTURE(count);
    Module module;
    Slot before({.shape = {2}});
    Slot lazy({.lazy = true});
    module.register_parameter("before", before);
    module.register_parameter("lazy", lazy);
    StateDict first;
    first.set("before", floats({2}, {1, 2}));
    REQUIRE(load(module, first, {.strict = false}).ok());

    StateDict hostile;
    hostile.set("before", floats({2}, {3, 4}));
    hostile.set("lazy", expanded(count));
    const LoadReport report = load(module, hostile);
    REQUIRE_FALSE(report.ok());
    CHECK(contains(report.text(), "\"lazy\": there is not enough memory for it"));
    CHECK(values_of(before) == Floats{1, 2});
    CHECK(lazy.is_lazy());
    CHECK_FALSE(lazy.is_bound());
  }
}

TEST_CASE("memory that is not there is not given") {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  Slot slot({.shape = {kHuge, kHuge}});
  CHECK_FALSE(slot.allocate());
  CHECK_FALSE(slot.is_bound());
  Slot small({.shape = {3}});
  REQUIRE(small.allocate());
  CHECK(values_of(small) == Floats{0, 0, 0});
}

TEST_CASE("a lazy slot under two names is what its first tensor is") {
  StateDict state_dict;
  state_dict.set("a", floats({4}, {1, 2, 3, 4}));
  state_dict.set("b", floats({1}, {9}));
  for (const bool assign : {false, true}) {
    CAPTURE(assign);
    Module module;
    Slot slot({.lazy = true});
    module.register_parameter("a", slot);
    module.register_parameter("b", slot);
    const LoadReport report = module.load_state_dict(state_dict, {.assign = assign});
    REQUIRE_FALSE(report.ok());
    if (!assign) {
      CHECK(contains(report.text(),
                     "size mismatch for b: copying a param with shape torch.Size([1]) "
                     "from checkpoint, the shape in current model is "
                     "torch.Size([4])."));
    }
    CHECK(slot.is_lazy());
  }
  Module module;
  Slot slot({.lazy = true});
  module.register_parameter("a", slot);
  module.register_parameter("b", slot);
  state_dict.set("b",
                 StateTensor::copy_of<std::int64_t>({4}, std::array<std::int64_t, 4>{5, 6, 7, 8}));
  REQUIRE(load(module, state_dict).ok());
  CHECK(slot.dtype() == Dtype::kFloat32);
  CHECK(values_of(slot) == Floats{5, 6, 7, 8});
}

TEST_CASE("elements that are no whole bytes are not loaded, into no slot") {
  format::Content content;
  content.tensors = {tensor_in(0, "w", {4}, Dtype::kQUInt4x2)};
  const WeightFile file = open_built(build_file(content, {std::vector<std::byte>(2)}));
  for (const bool lazy : {false, true}) {
    Module module;
    Slot slot({.dtype = Dtype::kQUInt4x2, .shape = {4}, .lazy = lazy});
    module.register_parameter("w", slot);
    const LoadReport report = load(module, file);
    REQUIRE_FALSE(report.ok());
    CHECK(contains(report.text(), "no conversion from quint4x2 to quint4x2"));
    CHECK_FALSE(slot.is_bound());
    if (!lazy) CHECK(bind(module, file).ok());
  }
}

TEST_CASE("a slot outlives the module that it was first registered with") {
  const TempDir dir;
  StateDict state_dict;
  state_dict.set("w", floats({4}, {1, 2, 3, 4}));
  std::optional<WeightFile> file = file_of(state_dict, dir);
  Slot slot({.shape = {4}});
  Module second;
  second.register_parameter("w", slot);
  {
    auto first = std::make_unique<Module>();
    Slot other({.shape = {4}});
    first->register_parameter("v", other);
    Slot shared({.shape = {4}});
    first->register_parameter("w", shared);
    second.register_parameter("shared", shared);
    REQUIRE(bind(*first, *file, {.strict = false}).ok());
    first.reset();
    CHECK(values_of(shared) == Floats{1, 2, 3, 4});
    CHECK(second.state_dict().size() == 2);
    CHECK(bind(second, *file, {.strict = false}).ok());
    CHECK(load(second, *file, {.strict = false}).ok());
    CHECK(values_of(shared) == Floats{1, 2, 3, 4});
  }
}

TEST_CASE("the mapping stays as long as a slot is bound to it, whoever of its modules is left") {
  const TempDir dir;
  StateDict state_dict;
  state_dict.set("w", floats({1 << 16}, Floats(1 << 16, 7)));
  Slot slot({.shape = {1 << 16}});
  Module left;
  auto first = std::make_unique<Module>();
  first->register_parameter("w", slot);
  left.register_parameter("w", slot);
  REQUIRE(bind(left, file_of(state_dict, dir)).ok());
  first.reset();
  CHECK(values_of(slot).back() == 7);
  CHECK(left.state_dict().find("w")->tensor()->view().values<float>().value()[5] == 7);
}

TEST_CASE("files are let go of when the last slot has left them, in any order of slots") {
  std::weak_ptr<tests::AlignedBytes> bytes;
  Module first;
  Module second;
  Module both;
  std::array<Slot, 4> slots{Slot({.shape = {1}}), Slot({.shape = {1}}), Slot({.shape = {1}}),
                            Slot({.shape = {1}})};
  for (std::size_t i = 0; i < slots.size(); ++i) {
    (i % 2 == 0 ? first : second).register_parameter("w" + std::to_string(i), slots[i]);
    both.register_parameter("w" + std::to_string(i), slots[i]);
  }
  format::Content content;
  for (std::uint32_t i = 0; i < 4; ++i)
    content.tensors.push_back(tensor_in(i, "w" + std::to_string(i), {1}));
  const std::vector<std::vector<std::byte>> segments(4, std::vector<std::byte>(4));
  {
    const auto old = build_file(content, segments);
    bytes = old;
    REQUIRE(bind(both, open_built(old)).ok());
  }
  CHECK_FALSE(bytes.expired());
  const WeightFile other = open_built(build_file(content, segments));
  StateDict three;
  for (const char* const key : {"w0", "w1", "w2"})
    three.set(key, floats({1}, {1}));
  REQUIRE(load(both, three, {.strict = false}).ok());
  CHECK_FALSE(bytes.expired());
  REQUIRE(bind(both, other).ok());
  CHECK(bytes.expired());
}

TEST_CASE("what a file has beside its tensors takes no part, with hooks and without") {
  const TempDir dir;
  StateDict state_dict;
  state_dict.set("w", floats({1}, {1}));
  state_dict.set("epoch", StateValue::of_integer(3));
  state_dict.set("x._extra_state", StateValue::of_integer(4));
  const WeightFile file = file_of(state_dict, dir);
  for (const bool has_hook : {false, true}) {
    CAPTURE(has_hook);
    Module module;
    Slot slot({.shape = {1}});
    module.register_parameter("w", slot);
    if (has_hook) module.register_load_state_dict_pre_hook([](Module&, LoadStep&) {});
    CHECK(bind(module, file).ok());
    CHECK(load_files(module, {&file, 1}).ok());
    const LoadReport from_dict = load(module, *file.state_dict());
    CHECK(contains(from_dict.text(), "Unexpected key(s) in state_dict: \"epoch\""));
  }
  std::optional<std::int64_t> seen;
  Module child;
  child.register_extra_state(nullptr, [&](const StateItem& item) -> Result<void> {
    seen = item.value()->integer();
    return {};
  });
  Module module;
  Slot slot({.shape = {1}});
  module.register_parameter("w", slot);
  module.register_module("x", child);
  CHECK(bind(module, file).ok());
  CHECK(seen == 4);
}

TEST_CASE("a hook that makes a lazy slot real makes the load fail, not more") {
  Module module;
  Slot lazy({.lazy = true});
  module.register_parameter("w", lazy);
  Module child;
  module.register_module("c", child);
  child.register_load_state_dict_pre_hook([&](Module&, LoadStep&) {
    Module inner;
    inner.register_parameter("w", lazy);
    StateDict small;
    small.set("w", floats({1}, {1}));
    REQUIRE(load(inner, small).ok());
  });
  StateDict state_dict;
  state_dict.set("w", floats({1000}, Floats(1000, 2)));
  const LoadReport report = load(module, state_dict);
  REQUIRE_FALSE(report.ok());
  CHECK(contains(report.text(), "size mismatch for w"));
  CHECK(values_of(lazy) == Floats{1});
}

TEST_CASE("hooks may take away what the next ones are given") {
  Module module;
  module.register_state_dict_post_hook([](Module&, StateDict& state_dict, std::string_view,
                                          ModuleMetadata&) { state_dict.metadata().clear(); });
  module.register_state_dict_post_hook([](Module&, StateDict&, std::string_view,
                                          ModuleMetadata& metadata) { metadata.version = 9; });
  CHECK(module.state_dict().metadata().empty());

  Module changing;
  changing.register_extra_state(
      [&]() -> StateItem {
        const std::string kept(1'000, 'x');
        changing.register_extra_state([]() -> StateItem { return StateValue::of_integer(2); }, {});
        return StateValue::of_text(kept);
      },
      {});
  CHECK(changing.state_dict().find("_extra_state")->value()->text()->size() == 1'000);
  CHECK(changing.state_dict().find("_extra_state")->value()->integer() == 2);
}

TEST_CASE("a chain of modules that all have hooks costs no more than their keys") {
  constexpr std::size_t kDepth = 600;
  std::vector<std::unique_ptr<Module>> modules;
  std::vector<std::unique_ptr<Slot>> slots;
  StateDict state_dict;
  std::string prefix;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < kDepth; ++i) {
    modules.push_back(std::make_unique<Module>());
    slots.push_back(std::make_unique<Slot>(Slot::Wanted{.shape = {1}}));
    modules[i]->register_parameter("w", *slots[i]);
    modules[i]->register_load_state_dict_pre_hook(
        [&](Module&, LoadStep& step) { seen += step.state_dict.size(); });
    if (i > 0) modules[i - 1]->register_module("a", *modules[i]);
    state_dict.set(prefix + "w", floats({1}, {static_cast<float>(i)}));
    state_dict.set(prefix + "strange.w", floats({1}, {0}));
    prefix += "a.";
  }
  const LoadReport report = load(*modules[0], state_dict, {.strict = false});
  REQUIRE(report.ok());
  CHECK(report.unexpected().size() == kDepth);
  CHECK(report.unexpected()[1] == "a.strange.w");
  CHECK(seen == kDepth * (kDepth + 1));  // two keys a module, its own and those below
  CHECK(values_of(*slots[kDepth - 1]) == Floats{kDepth - 1});
}

TEST_CASE("bytes at distances that a file cannot have are refused, others are where they were") {
  const TempDir dir;
  const auto memory = std::make_shared<std::array<std::byte, 64>>();
  for (std::size_t i = 0; i < memory->size(); ++i)
    (*memory)[i] = static_cast<std::byte>(i);
  const auto at = [&](Dtype dtype, std::size_t offset) {
    return StateTensor::over({.dtype = dtype, .shape = {2}}, memory->data() + offset, memory,
                             *memory);
  };
  StateDict odd;
  odd.set("a", at(Dtype::kFloat32, 4));
  odd.set("b", at(Dtype::kFloat32, 6));
  const auto refused = save(odd, dir / "odd.wmap");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kUnsupported);
  CHECK(refused.error().message().starts_with((dir / "odd.wmap") + ": tensor `b`: "));
  CHECK(dir.names().empty());

  StateDict even;
  even.set("a", at(Dtype::kUInt8, 1));
  even.set("b", at(Dtype::kFloat32, 5));
  even.set("c", at(Dtype::kFloat64, 9));
  REQUIRE(save(even, dir / "even.wmap"));
  const auto file = WeightFile::open(dir / "even.wmap");
  REQUIRE(file);
  CHECK(file->find("c")->data() - file->find("a")->data() == 8);
  CHECK(*file->find("a")->data() == std::byte{1});
  CHECK(*file->find("b")->data() == std::byte{5});
  CHECK(*file->find("c")->data() == std::byte{9});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
