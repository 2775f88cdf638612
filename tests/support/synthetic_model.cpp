// SPDX-License-Identifier: Apache-2.0
#include "support/synthetic_model.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <utility>

#include "support/built_file.h"
#include "support/file_bytes.h"

namespace weightmap::tests {
namespace {

constexpr std::size_t kDenseUpTo = 1'000;
constexpr std::size_t kFewExperts = 64;
constexpr std::size_t kManyExperts = 256;  // from kManyFrom tensors on
constexpr std::size_t kManyFrom = 50'000;

const std::vector<std::int64_t> kMatrix{4, 4};
const std::vector<std::int64_t> kVector{16};

// Appends until there are enough.
class Appender {
 public:
  explicit Appender(std::size_t count) : count_(count) { model_.reserve(count); }
  bool is_full() const { return model_.size() >= count_; }
  void add(std::string name, const std::vector<std::int64_t>& shape) {
    if (!is_full()) model_.push_back({std::move(name), shape});
  }
  SyntheticModel take() { return std::move(model_); }

 private:
  std::size_t count_;
  SyntheticModel model_;
};

void add_feed_forward(Appender& model, const std::string& prefix) {
  for (const char* projection : {"gate_proj", "up_proj", "down_proj"})
    model.add(prefix + projection + ".weight", kMatrix);
}

void add_layer(Appender& model, const std::string& prefix, std::size_t experts) {
  for (const char* projection : {"q_proj", "k_proj", "v_proj", "o_proj"})
    model.add(prefix + "self_attn." + projection + ".weight", kMatrix);
  if (experts == 0) {
    add_feed_forward(model, prefix + "mlp.");
  } else {
    model.add(prefix + "mlp.gate.weight", kMatrix);
    for (std::size_t expert = 0; expert < experts && !model.is_full(); ++expert)
      add_feed_forward(model, prefix + "mlp.experts." + std::to_string(expert) + ".");
  }
  model.add(prefix + "input_layernorm.weight", kVector);
  model.add(prefix + "post_attention_layernorm.weight", kVector);
}

std::size_t experts_of(std::size_t count) {
  if (count <= kDenseUpTo) return 0;
  return count < kManyFrom ? kFewExperts : kManyExperts;
}

Slot::Wanted wanted_by(const SyntheticTensor& tensor) {
  return {.dtype = Dtype::kFloat32, .shape = tensor.shape, .alignment_bytes = alignof(float)};
}

// The part before the last dot and the part behind it.
std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

}  // namespace

SyntheticModel expert_model(std::size_t count) {
  Appender model(count);
  model.add("model.embed_tokens.weight", kMatrix);
  for (std::size_t layer = 0; !model.is_full(); ++layer)
    add_layer(model, "model.layers." + std::to_string(layer) + ".", experts_of(count));
  return model.take();
}

SyntheticModel wide_model(std::size_t layers) {
  constexpr std::size_t kBranches = 10;
  SyntheticModel model;
  model.reserve(layers * kBranches);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".block.branch_";
    for (std::size_t branch = 0; branch < kBranches; ++branch)
      model.push_back({prefix + std::to_string(branch) + ".weight", kMatrix});
  }
  return model;
}

std::size_t element_count(const SyntheticTensor& tensor) {
  const auto count = std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                                     std::multiplies<>());
  return static_cast<std::size_t>(count);
}

FreeSlots::FreeSlots(const SyntheticModel& model) {
  list_.reserve(model.size());
  for (const SyntheticTensor& tensor : model)
    list_.push_back({tensor.name, &slots_.emplace_back(wanted_by(tensor))});
}

void FreeSlots::shuffle() {
  std::shuffle(list_.begin(), list_.end(), std::mt19937_64(1));
}

ModuleTree::ModuleTree(const SyntheticModel& model) {
  for (const SyntheticTensor& tensor : model) {
    const auto [path, name] = split(tensor.name);
    module_of(path).register_parameter(name, slots_.emplace_back(wanted_by(tensor)));
  }
}

Module& ModuleTree::module_of(std::string_view path) {
  if (path.empty()) return root_;
  const auto known = by_path_.find(std::string(path));
  if (known != by_path_.end()) return *known->second;
  const auto [parent, name] = split(path);
  Node& node = modules_.emplace_back(module_of(parent), name);
  by_path_.emplace(path, &node);
  return node;
}

bool ModuleTree::is_bound() const {
  return std::ranges::all_of(slots_, &Slot::is_bound);
}

void write_weight_file(const SyntheticModel& model, const std::string& path) {
  format::Content content;
  std::vector<std::vector<std::byte>> segments;
  for (const SyntheticTensor& tensor : model) {
    const auto number = static_cast<std::uint32_t>(segments.size());
    content.tensors.push_back(tensor_in(number, tensor.name, tensor.shape));
    segments.emplace_back(element_count(tensor) * sizeof(float));
  }
  write_file(path, text_of(build_file(content, segments)->bytes()));
}

}  // namespace weightmap::tests
