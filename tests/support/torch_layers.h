// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/migrations.h"
#include "weightmap/module.h"

// PyTorch's layers as far as their state goes, and values for them.
namespace weightmap::tests {

struct Linear : Module {
  Linear(std::int64_t in, std::int64_t out)
      : weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  Linear(Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Linear(in, out) {
    parent.register_module(name, *this);
  }
  Parameter<float> weight, bias;
};

struct BatchNorm : Module {
  explicit BatchNorm(std::int64_t size)
      : weight(*this, "weight", {size}),
        bias(*this, "bias", {size}),
        running_mean(*this, "running_mean", {size}),
        running_var(*this, "running_var", {size}) {
    migrate_batch_norm(*this);
  }
  BatchNorm(Module& parent, std::string_view name, std::int64_t size) : BatchNorm(size) {
    parent.register_module(name, *this);
  }
  std::int64_t version() const override { return 2; }
  Parameter<float> weight, bias;
  Buffer<float> running_mean, running_var;
  Buffer<std::int64_t> num_batches_tracked{*this, "num_batches_tracked", {}};
};

// Gives every slot memory, and those of float32 numbers that are all different.
inline void fill(Module& module) {
  std::vector<Slot*> slots = module.parameters();
  const std::vector<Slot*> buffers = module.buffers();
  slots.insert(slots.end(), buffers.begin(), buffers.end());
  float next = 1;
  for (Slot* const slot : slots) {
    slot->allocate();
    if (slot->dtype() != Dtype::kFloat32) continue;
    auto* const values = reinterpret_cast<float*>(slot->mutable_bytes());
    for (std::int64_t i = 0; i < slot->element_count(); ++i)
      values[i] = next++;
  }
}

// A tensor that has one value everywhere.
inline StateTensor tensor_of(std::vector<std::int64_t> shape, float value) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape)
    count *= size;
  const std::vector<float> values(static_cast<std::size_t>(count), value);
  return StateTensor::copy_of<float>(std::move(shape), values);
}

inline std::vector<float> values_of(const TypedSlot<float>& slot) {
  return {slot.values().begin(), slot.values().end()};
}

// Empty where there is no contiguous float32 under the key.
inline std::vector<float> values_of(const StateDict& state_dict, std::string_view key) {
  const StateItem* const item = state_dict.find(key);
  if (item == nullptr || item->tensor() == nullptr) return {};
  const auto values = item->tensor()->view().values<float>();
  return values ? std::vector<float>(values->begin(), values->end()) : std::vector<float>();
}

}  // namespace weightmap::tests
