// SPDX-License-Identifier: Apache-2.0
// The parts of a module's state, by name: parameters, buffers, children, one of them under two
// names, and a tensor that is none of them. Then the module is saved again: net FILE TARGET
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/save.h"

namespace {

struct Conv2d : weightmap::Module {
  Conv2d(weightmap::Module& parent,
         std::string_view name,
         std::int64_t in,
         std::int64_t out,
         std::int64_t size)
      : Module(parent, name),
        weight(*this, "weight", {out, in, size, size}),
        bias(*this, "bias", {out}) {}
  weightmap::Parameter<float> weight, bias;
};

struct BatchNorm2d : weightmap::Module {
  BatchNorm2d(weightmap::Module& parent, std::string_view name, std::int64_t size)
      : Module(parent, name),
        weight(*this, "weight", {size}),
        bias(*this, "bias", {size}),
        running_mean(*this, "running_mean", {size}),
        running_var(*this, "running_var", {size}) {}
  std::int64_t version() const override { return 2; }
  weightmap::Parameter<float> weight, bias;
  weightmap::Buffer<float> running_mean, running_var;
  weightmap::Buffer<std::int64_t> num_batches_tracked{*this, "num_batches_tracked", {}};
};

struct Linear : weightmap::Module {
  Linear(weightmap::Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  weightmap::Parameter<float> weight, bias;
};

struct Net : weightmap::Module {
  Conv2d conv{*this, "conv", 1, 2, 2};
  BatchNorm2d bn{*this, "bn", 2};
  std::array<float, 2> scale{1, 2};  // an attribute like any other: no part of the state
  Linear fc{*this, "fc", 2, 3};
  Net() { register_module("f3", fc); }  // one layer, two names
};

using NamedSlots = std::vector<weightmap::Module::NamedSlot>;

void print_names(const char* title, const NamedSlots& slots) {
  std::printf("%s", title);
  for (const auto& slot : slots)
    std::printf(" %s", slot.name.c_str());
  std::printf("\n");
}

double first_value(const weightmap::TensorView& tensor) {
  if (const auto floats = tensor.values<float>()) return static_cast<double>((*floats)[0]);
  return static_cast<double>(tensor.values<std::int64_t>().value()[0]);
}

void print_tensor(const std::string& key, const weightmap::TensorView& tensor) {
  std::printf("%s [", key.c_str());
  for (std::size_t i = 0; i < tensor.shape().size(); ++i)
    std::printf("%s%lld", i == 0 ? "" : ", ", static_cast<long long>(tensor.shape()[i]));
  std::printf("] %.4f\n", first_value(tensor));
}

void print_state_dict(const weightmap::StateDict& state_dict) {
  for (const auto& [key, item] : state_dict)
    print_tensor(key, item.tensor()->view());
  for (const auto& [path, metadata] : state_dict.metadata())
    std::printf("version '%s' %lld\n", path.c_str(), static_cast<long long>(*metadata.version));
  std::map<const std::byte*, std::string> first;
  for (const auto& [key, item] : state_dict) {
    const auto [other, is_new] = first.emplace(item.tensor()->view().data(), key);
    if (!is_new) std::printf("%s is %s\n", key.c_str(), other->second.c_str());
  }
}

int fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return fail("usage: net FILE TARGET");
  const auto file = weightmap::WeightFile::open(argv[1]);
  if (!file) return fail(file.error().message());

  Net net;
  print_names("parameters", net.named_parameters());
  print_names("buffers", net.named_buffers());
  const auto report = weightmap::bind(net, *file);
  if (!report.ok()) return fail(report.text());
  print_state_dict(net.state_dict());

  // What PyTorch's own state dict was converted to.
  const auto saved = weightmap::save(net, argv[2]);
  if (!saved) return fail(saved.error().message());
  return saved->digest == file->digest() ? 0 : fail("what was saved is not what was bound");
}
