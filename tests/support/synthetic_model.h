// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/module.h"

namespace weightmap::tests {

// Models that exist for the number and the names of their tensors: every tensor is small, its
// dtype float32. The same call gives the same model.

struct SyntheticTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};
using SyntheticModel = std::vector<SyntheticTensor>;

// The names of a mixture of experts, as hubs have them (`model.layers.61.mlp.experts.255.up_proj
// .weight`), cut off after `count` tensors; of a dense model where there are few.
SyntheticModel expert_model(std::size_t count);

// `layers` times ten slots in twelve modules, side by side under one parent: what PyTorch's
// load_state_dict is slow at.
SyntheticModel wide_model(std::size_t layers);

std::size_t element_count(const SyntheticTensor& tensor);

// Slots for a model, under their full names. Neither moves nor is copied; refers to the model.
class FreeSlots {
 public:
  explicit FreeSlots(const SyntheticModel& model);
  std::span<const FreeSlot> all() const { return list_; }
  void shuffle();  // always the same way

 private:
  std::deque<Slot> slots_;
  std::vector<FreeSlot> list_;
};

// The same slots in a tree of modules, one a component of the names.
class ModuleTree {
 public:
  explicit ModuleTree(const SyntheticModel& model);
  Module& root() { return root_; }
  std::size_t module_count() const { return modules_.size(); }
  bool is_bound() const;

 private:
  struct Node : Module {
    Node() = default;
    using Module::Module;
  };
  Module& module_of(std::string_view path);

  Node root_;
  std::deque<Node> modules_;
  std::unordered_map<std::string, Module*> by_path_;
  std::deque<Slot> slots_;
};

// The model as a weight file: one segment a tensor, all zeros.
void write_weight_file(const SyntheticModel& model, const std::string& path);

}  // namespace weightmap::tests
