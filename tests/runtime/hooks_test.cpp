// SPDX-License-Identifier: Apache-2.0
// What is C++'s own in hooks; their order and effects are held against PyTorch in tests/modules.
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/migrations.h"

#include "support/built_file.h"

namespace weightmap {
namespace {

using Floats = std::vector<float>;
using Strings = std::vector<std::string>;

struct Layer : Module {
  using Module::Module;
  Parameter<float> weight{*this, "weight", {2}};
};

struct Net : Module {
  Layer fc{*this, "fc"};
};

StateTensor floats(const Floats& values) {
  return StateTensor::copy_of<float>({static_cast<std::int64_t>(values.size())}, values);
}

Floats values_of(const Parameter<float>& slot) {
  return {slot.values().begin(), slot.values().end()};
}

LoadPreHook rename(std::string from, std::string to) {
  return [=](Module&, LoadStep& step) {
    step.state_dict.rename(step.prefix + from, step.prefix + to);
  };
}

TEST_SUITE_BEGIN("runtime/hooks");

TEST_CASE("a hook that was removed is not called, and a handle may outlive its module") {
  std::optional<Layer> layer(std::in_place);
  RemovableHandle handle = layer->register_load_state_dict_pre_hook(rename("w", "weight"));
  StateDict given;
  given.set("w", floats({1, 2}));
  CHECK(layer->load_state_dict(given).ok());
  handle.remove();
  handle.remove();
  CHECK_FALSE(layer->load_state_dict(given).ok());
  RemovableHandle late = layer->register_load_state_dict_pre_hook(rename("w", "weight"));
  layer.reset();
  late.remove();
}

TEST_CASE("a hook may remove itself while it runs") {
  Layer layer;
  int calls = 0;
  std::optional<RemovableHandle> handle;
  handle = layer.register_load_state_dict_post_hook([&](Module&, IncompatibleKeys&) {
    ++calls;
    handle->remove();
  });
  StateDict given;
  given.set("weight", floats({1, 2}));
  CHECK(layer.load_state_dict(given).ok());
  CHECK(layer.load_state_dict(given).ok());
  CHECK(calls == 1);
}

TEST_CASE("a hook does not touch the caller's state dict, and a bind of a file has hooks too") {
  Net net;
  net.fc.register_load_state_dict_pre_hook(rename("old", "weight"));
  StateDict given;
  given.set("fc.old", floats({1, 2}));
  REQUIRE(net.load_state_dict(given).ok());
  CHECK(given.contains("fc.old"));

  format::Content content;
  content.tensors = {tests::tensor_in(0, "model.fc.old", {2})};
  const WeightFile file =
      tests::open_built(tests::build_file(content, {tests::bytes_of(Floats{3, 4})}));
  const LoadReport report = bind(net, file, {.prefix = "model."});
  REQUIRE_MESSAGE(report.ok(), report.text());
  CHECK(values_of(net.fc.weight) == Floats{3, 4});
  CHECK(net.fc.weight.bytes() == file.tensor(0).data());
  CHECK(report.origin(0) == file.path());
}

TEST_CASE("hooks of ten thousand modules see their own keys only, in linear time") {
  constexpr int kCount = 10'000;
  struct Wide : Module {
    std::vector<std::unique_ptr<Layer>> layers;
  } net;
  StateDict given;
  std::size_t seen = 0;
  for (int i = 0; i < kCount; ++i) {
    net.layers.push_back(std::make_unique<Layer>(net, std::to_string(i)));
    net.layers.back()->register_load_state_dict_pre_hook(
        [&](Module&, LoadStep& step) { seen += step.state_dict.size(); });
    given.set(std::to_string(i) + ".weight", floats({1, 2}));
  }
  CHECK(net.load_state_dict(given).ok());
  CHECK(seen == kCount);
}

TEST_CASE("an extra state that does not fit is an error with its key") {
  Net net;
  net.fc.register_extra_state([] { return StateValue::of_integer(3); },
                              [](const StateItem& item) -> Result<void> {
                                if (item.value() != nullptr && item.value()->integer() == 3) {
                                  return {};
                                }
                                return Error(ErrorCode::kMismatch, "expected 3");
                              });
  net.fc.weight.allocate();
  StateDict given = net.state_dict();
  CHECK(net.load_state_dict(given).ok());
  given.set("fc._extra_state", StateValue::of_integer(4));
  CHECK(net.load_state_dict(given).text() ==
        "Error(s) in loading state_dict for Net:\n\tWhile setting the extra state "
        "\"fc._extra_state\": expected 3");
}

TEST_CASE("a batch norm's count that older versions lack is its own, or zero") {
  struct BatchNorm : Module {
    Buffer<std::int64_t> count{*this, "num_batches_tracked", {}};
    BatchNorm() { migrate_batch_norm(*this); }
    std::int64_t version() const override { return 2; }
  };
  StateDict old;
  BatchNorm fresh;
  REQUIRE(fresh.load_state_dict(old).ok());
  CHECK(fresh.count[0] == 0);
  BatchNorm used;
  used.count.allocate();
  used.count.mutable_values()[0] = 7;
  old.metadata().set("", {.version = 1, .values = {}});
  REQUIRE(used.load_state_dict(old).ok());
  CHECK(used.count[0] == 7);
  old.metadata().set("", {.version = 2, .values = {}});
  CHECK_FALSE(used.load_state_dict(old).ok());
}

TEST_CASE("weight norm and spectral norm come under the names of parametrizations") {
  struct Holder : Module {
    using Module::Module;
    std::vector<std::unique_ptr<Slot>> slots;
    void add(std::string_view name) {
      slots.push_back(std::make_unique<Slot>(Slot::Wanted{.shape = {1}}));
      register_parameter(name, *slots.back());
    }
  };
  struct Parametrized : Module {
    Holder parametrizations{*this, "parametrizations"};
    Holder weight{parametrizations, "weight"};
    Holder first{weight, "0"};
  };
  Parametrized weight_norm;
  weight_norm.weight.add("original0");
  weight_norm.weight.add("original1");
  migrate_weight_norm(weight_norm);
  StateDict old;
  old.set("weight_g", floats({1}));
  CHECK_FALSE(weight_norm.load_state_dict(old).ok());
  old.set("weight_v", floats({2}));
  CHECK(weight_norm.load_state_dict(old).ok());

  Parametrized spectral_norm;
  spectral_norm.weight.add("original");
  spectral_norm.first.add("_u");
  spectral_norm.first.add("_v");
  migrate_spectral_norm(spectral_norm);
  StateDict other;
  for (const std::string name : {"weight_orig", "weight_u", "weight_v"})
    other.set(name, floats({3}));
  CHECK(spectral_norm.load_state_dict(other).ok());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
