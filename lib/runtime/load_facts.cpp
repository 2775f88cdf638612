// SPDX-License-Identifier: Apache-2.0
#include "runtime/load_facts.h"

#include "base/text.h"
#include "runtime/module_walk.h"

namespace weightmap {

void LoadFacts::note_wanted(Module& root) {
  for (ModuleWalk walk(root, ""); !walk.is_done(); walk.advance()) {
    for (const Module::NamedSlot& named : walk.module().own_slots()) {
      if (named.slot == nullptr || !named.persistent) continue;
      add_wanted(concat(walk.prefix(), named.name), *named.slot);
    }
  }
}

void LoadFacts::note_wanted(std::span<const FreeSlot> slots) {
  for (const FreeSlot& free : slots)
    add_wanted(free.name, *free.slot);
}

void LoadFacts::add_wanted(std::string_view name, const Slot& slot) {
  Key key{.name = std::string(name), .dtype = std::nullopt, .shape = std::nullopt};
  if (!slot.is_lazy() && !slot.takes_any_dtype()) key.dtype = slot.dtype();
  if (!slot.is_lazy()) key.shape.emplace(slot.shape().begin(), slot.shape().end());
  wanted_.push_back(std::move(key));
}

void LoadFacts::note_found(const WeightFile& file, std::string_view prefix) {
  for (const TensorView& tensor : file) {
    if (tensor.is_part() || !tensor.name().starts_with(prefix)) continue;
    add_found(tensor.name().substr(prefix.size()), tensor.dtype(), tensor.shape());
  }
  for (std::uint32_t number = 0; number < file.composite_count(); ++number) {
    const CompositeView composite = file.composite(number);
    if (!composite.name().starts_with(prefix)) continue;
    add_found(composite.name().substr(prefix.size()), composite.dtype(), composite.shape());
  }
}

void LoadFacts::note_found(const StateDict& state_dict) {
  for (const auto& [name, item] : state_dict) {
    if (const StateTensor* const tensor = item.tensor()) {
      add_found(name, tensor->view().dtype(), tensor->view().shape());
    } else {
      found_.push_back({.name = name, .dtype = std::nullopt, .shape = std::nullopt});
    }
  }
}

void LoadFacts::add_found(std::string_view name, Dtype dtype, std::span<const std::int64_t> shape) {
  found_.push_back({.name = std::string(name),
                    .dtype = dtype,
                    .shape = std::vector<std::int64_t>(shape.begin(), shape.end())});
}

Diagnosis LoadFacts::diagnose(const DiagnosisOptions& options) const {
  const auto facts_of = [](const std::vector<Key>& keys) {
    std::vector<KeyFacts> facts;
    for (const Key& key : keys)
      facts.push_back({.name = key.name, .dtype = key.dtype, .shape = key.shape});
    return facts;
  };
  return weightmap::diagnose(facts_of(wanted_), facts_of(found_), options);
}

}  // namespace weightmap
