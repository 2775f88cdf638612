// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_walk.h"

#include <utility>

#include "runtime/module_hooks.h"

namespace weightmap {
namespace {

// Enough for most, so that the number of allocations is not that of the names.
constexpr std::size_t kUsualKeyBytes = 128;

}  // namespace

SlotWalk::SlotWalk(Module& root, std::string_view prefix)
    : tree_(std::in_place, root, std::string(prefix)) {
  keys_.reserve(kBatch * kUsualKeyBytes);
  enter_module();
}

SlotWalk::SlotWalk(std::span<const FreeSlot> slots, std::string_view prefix)
    : list_prefix_(prefix), list_(slots), list_size_(slots.size()) {
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
  if (list_prefix_.empty()) {
    batch_[count_++] = {free.slot, free.name};
  } else {
    add(list_prefix_, free.name, *free.slot);
  }
  return true;
}

bool SlotWalk::step_through_tree() {
  while (tree_ && !tree_->is_done() && !met_load_hooks_) {
    const auto slots = tree_->module().own_slots();
    if (next_slot_ == slots.size()) {
      advance();
      continue;
    }
    const Module::NamedSlot& named = slots[next_slot_++];
    if (named.slot == nullptr || !named.persistent) continue;
    add(tree_->prefix(), named.name, *named.slot);
    return true;
  }
  return false;
}

void SlotWalk::advance() {
  next_slot_ = 0;
  tree_->advance();
  if (!tree_->is_done()) return enter_module();
  note_loops(*tree_, errors_);
}

void SlotWalk::enter_module() {
  const Module& module = tree_->module();
  met_load_hooks_ = has_load_hooks(module);
  if (!module.registration_errors().empty()) note_registration_errors(*tree_, errors_);
}

void SlotWalk::add(std::string_view prefix, std::string_view name, Slot& slot) {
  keys_ += prefix;
  keys_ += name;
  key_ends_[count_] = keys_.size();
  batch_[count_++].slot = &slot;
}

}  // namespace weightmap
