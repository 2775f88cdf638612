// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_home.h"

#include <algorithm>
#include <utility>

#include "runtime/weight_file_state.h"

namespace weightmap {

template <typename Question>
void SlotHome::drop_if(const Question& question) {
  if (before_ && question(*before_)) before_.reset();
  std::erase_if(older_, question);
}

bool SlotHome::keep_open(const WeightFile& file) {
  const auto is_it = [&](const WeightFile& other) { return &state_of(other) == &state_of(file); };
  if (!file_ || !is_it(*file_)) {
    drop_if(is_it);
    if (before_) older_.push_back(*std::move(before_));
    before_ = std::exchange(file_, file);
  }
  may_have_unused_ = before_ || !older_.empty();
  return may_have_unused_;
}

void SlotHome::keep_only(const WeightFile& file) {
  file_ = file;
  before_.reset();
  older_.clear();
  may_have_unused_ = false;
}

void SlotHome::let_go_of_unused() {
  if (!std::exchange(may_have_unused_, false) || module_ == nullptr) return;
  const auto is_unused = [&](const WeightFile& file) { return !points_into(file); };
  if (file_ && is_unused(*file_)) file_.reset();
  drop_if(is_unused);
}

bool SlotHome::points_into(const WeightFile& file) const {
  return std::ranges::any_of(module_->own_slots(), [&](const Module::NamedSlot& named) {
    return named.slot != nullptr && state_of(file).maps(named.slot->bytes());
  });
}

const WeightFile* SlotHome::file_of(const Slot& slot) const {
  // Files that refer to one data file may share its mapping, and each has segments of its own
  // there.
  const auto has_it = [&](const WeightFile& file) {
    const WeightFile::State& state = state_of(file);
    return state.maps(slot.bytes()) && !state.segment_around(slot.bytes()).empty();
  };
  if (file_ && has_it(*file_)) return &*file_;
  if (before_ && has_it(*before_)) return &*before_;
  const auto found = std::ranges::find_if(older_, has_it);
  return found == older_.end() ? nullptr : &*found;
}

}  // namespace weightmap
