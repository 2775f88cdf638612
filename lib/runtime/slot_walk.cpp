// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_walk.h"

#include <algorithm>

#include "base/text.h"

namespace weightmap {
namespace {

// Enough for most, so that the number of allocations is not that of the names or modules.
constexpr std::size_t kUsualKeyBytes = 128;
constexpr std::size_t kUsualDepth = 32;

// Modules lie anywhere: the next one's memory is asked for while this one is looked at.
void prefetch(const Module& module) {
  __builtin_prefetch(&module);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&module) + 64);
}

}  // namespace

SlotWalk::SlotWalk(Module& root, std::string_view prefix) : prefix_(prefix) {
  keys_.reserve(kBatch * kUsualKeyBytes);
  prefix_.reserve(kUsualKeyBytes);
  path_.reserve(kUsualDepth);
  enter(root);
}

SlotWalk::SlotWalk(std::span<const FreeSlot> slots, std::string_view prefix)
    : prefix_(prefix), list_(slots), list_size_(slots.size()) {
  if (!prefix.empty()) keys_.reserve(kBatch * kUsualKeyBytes);
}

std::span<const SlotWalk::Named> SlotWalk::next_batch() {
  count_ = 0;
  keys_.clear();
  while (count_ < kBatch && (step_through_list() || step_through_tree())) {
  }
  // The keys may have moved while there came more of them.
  const std::string_view keys = keys_;
  const bool is_copied = !keys.empty();
  for (std::size_t i = 0, begin = 0; is_copied && i < count_; begin = key_ends_[i++])
    batch_[i].key = keys.substr(begin, key_ends_[i] - begin);
  return std::span(batch_).first(count_);
}

bool SlotWalk::step_through_list() {
  if (list_.empty()) return false;
  const FreeSlot& free = list_.front();
  list_ = list_.subspan(1);
  if (prefix_.empty()) {
    batch_[count_++] = {free.slot, free.name};
  } else {
    add(free.name, *free.slot);
  }
  return true;
}

bool SlotWalk::step_through_tree() {
  while (!path_.empty()) {
    Visit& visit = path_.back();
    const auto slots = visit.module->slots();
    if (visit.next_slot == slots.size()) {
      descend();
      continue;
    }
    const Module::NamedSlot& named = slots[visit.next_slot++];
    if (!named.persistent) continue;
    add(named.name, *named.slot);
    return true;
  }
  return false;
}

// To the next child, or back up after the last.
void SlotWalk::descend() {
  Visit& visit = path_.back();
  const auto children = visit.module->children();
  prefix_.resize(visit.prefix_size);
  if (visit.next_child == children.size()) {
    path_.pop_back();
    return;
  }
  const Module::NamedChild& child = children[visit.next_child++];
  if (visit.next_child < children.size()) prefetch(*children[visit.next_child].module);
  prefix_ += child.name;
  if (std::ranges::find(path_, child.module, &Visit::module) != path_.end()) {
    errors_.push_back(concat("module ", quoted(prefix_), " is registered inside itself"));
    return;
  }
  prefix_ += '.';
  enter(*child.module);
}

void SlotWalk::enter(Module& module) {
  for (const std::string& error : module.registration_errors()) {
    const std::string path = prefix_.substr(0, prefix_.rfind('.'));
    errors_.push_back(concat("module ", quoted(path), " (", module.class_name(), "): ", error));
  }
  path_.push_back({.module = &module, .prefix_size = prefix_.size()});
}

void SlotWalk::add(std::string_view name, Slot& slot) {
  keys_ += prefix_;
  keys_ += name;
  key_ends_[count_] = keys_.size();
  batch_[count_++].slot = &slot;
}

}  // namespace weightmap
