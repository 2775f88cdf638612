// SPDX-License-Identifier: Apache-2.0
#include "weightmap/module.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/slot_walk.h"

namespace nets {

template <typename T>
struct Block : weightmap::Module {
  using weightmap::Module::Module;
};

struct Linear : weightmap::Module {
  Linear(weightmap::Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  weightmap::Parameter<float> weight, bias;
};

struct Net : weightmap::Module {
  weightmap::Buffer<float> mean{*this, "mean", {3}};
  weightmap::Buffer<float> scratch{*this, "scratch", {3}, weightmap::Persistent::kNo};
  weightmap::Parameter<float> scale{*this, "scale", {}};
  Linear fc{*this, "fc", 4, 2};
  Net() { register_module("head", fc); }
};

}  // namespace nets

namespace weightmap {
namespace {

std::vector<std::string> keys_of(Module& module, std::string_view prefix = "") {
  SlotWalk walk(module, prefix);
  std::vector<std::string> keys;
  for (auto batch = walk.next_batch(); !batch.empty(); batch = walk.next_batch()) {
    for (const FreeSlot& named : batch)
      keys.emplace_back(named.name);
  }
  return keys;
}

std::vector<std::string> errors_of(Module& module) {
  SlotWalk walk(module, "");
  while (!walk.next_batch().empty()) {
  }
  return {walk.errors().begin(), walk.errors().end()};
}

TEST_SUITE_BEGIN("runtime/module");

TEST_CASE("keys come in PyTorch's order: parameters, persistent buffers, children") {
  nets::Net net;
  CHECK(keys_of(net) == std::vector<std::string>{"scale", "mean", "fc.weight", "fc.bias",
                                                 "head.weight", "head.bias"});
  CHECK(keys_of(net, "model.").front() == "model.scale");
}

TEST_CASE("a module knows its class without namespaces") {
  nets::Net net;
  CHECK(net.class_name() == "Net");
  CHECK(nets::Block<nets::Net>().class_name() == "Block<nets::Net>");
  CHECK(Module().class_name() == "Module");
}

TEST_CASE("an unbound slot has no values") {
  nets::Net net;
  CHECK_FALSE(net.fc.weight.is_bound());
  CHECK(net.fc.weight.values().empty());
  CHECK(net.fc.weight.element_count() == 8);
}

TEST_CASE("a slot may be pointed to the caller's own values") {
  nets::Net net;
  const std::vector<float> own{1, 2, 3, 4, 5, 6, 7, 8};
  net.fc.weight.point_to(reinterpret_cast<const std::byte*>(own.data()));
  CHECK(net.fc.weight.values().data() == own.data());
  CHECK(net.fc.weight[7] == 8.0F);
  CHECK(std::vector<std::int64_t>(net.fc.weight.strides().begin(), net.fc.weight.strides().end()) ==
        std::vector<std::int64_t>{4, 1});
}

TEST_CASE("wrong registrations are kept, with PyTorch's texts") {
  nets::Net net;
  Slot slot({});
  net.fc.register_parameter("a.b", slot);
  net.fc.register_buffer("", slot);
  net.fc.register_parameter("weight", slot);
  net.register_module("mean", net.fc);
  const auto errors = errors_of(net);
  REQUIRE(errors.size() == 7);  // fc is visited under two names
  CHECK(errors[0] == "module `` (Net): attribute 'mean' already exists");
  CHECK(errors[1] == "module `fc` (Linear): parameter name can't contain \".\", got: a.b");
  CHECK(errors[2] == "module `fc` (Linear): buffer name can't be empty string \"\"");
  CHECK(errors[3] == "module `fc` (Linear): attribute 'weight' already exists");
  CHECK(errors[4].starts_with("module `head` (Linear)"));
}

TEST_CASE("a module inside itself is an error, not a loop") {
  nets::Net net;
  net.fc.register_module("up", net);
  const auto errors = errors_of(net);
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] == "module `fc.up` is registered inside itself");
}

TEST_CASE("depth is bounded by memory, not by the call stack") {
  constexpr int kDepth = 5000;
  std::vector<std::unique_ptr<nets::Block<int>>> chain;
  chain.push_back(std::make_unique<nets::Block<int>>());
  for (int i = 0; i < kDepth; ++i) {
    chain.push_back(std::make_unique<nets::Block<int>>(*chain.back(), "x"));
  }
  Slot slot({});
  chain.back()->register_parameter("w", slot);
  const auto keys = keys_of(*chain.front());
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].size() == 2 * kDepth + 1);
}

TEST_CASE("what is registered as none takes its name and is no key") {
  Module module;
  module.register_parameter("bias", nullptr);
  module.register_buffer("mean", nullptr);
  module.register_module("head", nullptr);
  module.register_module("bias", nullptr);
  CHECK(keys_of(module).empty());
  CHECK(module.named_parameters().empty());
  CHECK(module.named_modules().size() == 1);
  CHECK(module.named_children().empty());
  CHECK(errors_of(module) ==
        std::vector<std::string>{"module `` (Module): attribute 'bias' already exists"});
}

TEST_CASE("a module deep inside itself is an error, not a loop") {
  std::vector<std::unique_ptr<Module>> chain;
  chain.push_back(std::make_unique<Module>());
  for (int i = 0; i < 100; ++i)
    chain.push_back(std::make_unique<Module>(*chain.back(), "x"));
  chain.back()->register_module("far", *chain.front());
  chain.back()->register_module("near", *chain[90]);
  CHECK(errors_of(*chain.front()).size() == 2);
  CHECK(chain.front()->named_modules().size() == 101);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
