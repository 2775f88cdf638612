// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_home.h"

#include <algorithm>
#include <utility>

#include "runtime/weight_file_state.h"

namespace weightmap {

bool SlotHome::keep_open(const WeightFile& file) {
  const auto is_it = [&](const WeightFile& other) { return &state_of(other) == &state_of(file); };
  if (!file_ || !is_it(*file_)) {
    std::erase_if(older_files_, is_it);
    if (file_) older_files_.push_back(*std::move(file_));
    file_ = file;
  }
  may_have_unused_ = !older_files_.empty();
  return may_have_unused_;
}

void SlotHome::keep_only(const WeightFile& file) {
  file_ = file;
  older_files_.clear();
  may_have_unused_ = false;
}

void SlotHome::let_go_of_unused() {
  if (!std::exchange(may_have_unused_, false) || module_ == nullptr) return;
  const auto is_unused = [&](const WeightFile& file) { return !points_into(file); };
  if (file_ && is_unused(*file_)) file_.reset();
  std::erase_if(older_files_, is_unused);
}

bool SlotHome::points_into(const WeightFile& file) const {
  return std::ranges::any_of(module_->own_slots(), [&](const Module::NamedSlot& named) {
    return named.slot != nullptr && state_of(file).maps(named.slot->bytes());
  });
}

const WeightFile* SlotHome::file_of(const Slot& slot) const {
  if (file_ && state_of(*file_).maps(slot.bytes())) return &*file_;
  const auto found = std::ranges::find_if(
      older_files_, [&](const WeightFile& older) { return state_of(older).maps(slot.bytes()); });
  return found == older_files_.end() ? nullptr : &*found;
}

}  // namespace weightmap
