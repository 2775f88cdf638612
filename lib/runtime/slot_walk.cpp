// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_walk.h"

#include <algorithm>

#include "base/prefetch.h"
#include "runtime/module_hooks.h"

namespace weightmap {
namespace {

// Enough for most, so that the number of allocations is not that of the names.
constexpr std::size_t kUsualNameBytes = 128;

}  // namespace

SlotWalk::SlotWalk(Module& root, std::string_view prefix)
    : tree_(std::in_place, root, std::string(prefix)) {
  names_.reserve(kBatch * kUsualNameBytes);
  enter_module();
}

SlotWalk::SlotWalk(std::span<const FreeSlot> slots, std::string_view prefix)
    : list_prefix_(prefix), list_(slots), list_size_(slots.size()) {
  if (!prefix.empty()) names_.reserve(kBatch * kUsualNameBytes);
}

std::span<const FreeSlot> SlotWalk::next_batch() {
  const std::span<const FreeSlot> next = next_of_list();
  if (!tree_ && list_prefix_.empty()) return next;
  count_ = 0;
  names_.clear();
  for (const FreeSlot& free : next)
    add(list_prefix_, free.name, *free.slot);
  while (count_ < kBatch && step_through_tree()) {
  }
  return named_batch();
}

// Asks for the memory of the batch after it, which is looked at after all of this one.
std::span<const FreeSlot> SlotWalk::next_of_list() {
  const auto next = list_.first(std::min(list_.size(), kBatch));
  list_ = list_.subspan(next.size());
  for (const FreeSlot& free : list_.first(std::min(list_.size(), kBatch))) {
    prefetch_text(free.name);
    prefetch_object(*free.slot);
  }
  return next;
}

// The names may have moved while there came more of them.
std::span<const FreeSlot> SlotWalk::named_batch() {
  const std::string_view names = names_;
  for (std::size_t i = 0, begin = 0; i < count_; begin = name_ends_[i++])
    batch_[i].name = names.substr(begin, name_ends_[i] - begin);
  return std::span(batch_).first(count_);
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
    prefetch_object(*named.slot);
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
  names_ += prefix;
  names_ += name;
  name_ends_[count_] = names_.size();
  batch_[count_++].slot = &slot;
}

}  // namespace weightmap
