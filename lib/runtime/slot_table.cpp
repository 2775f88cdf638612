// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_table.h"

#include <utility>

#include "base/text.h"
#include "runtime/module_walk.h"

namespace weightmap {

SlotTable::SlotTable(Module& root, std::string_view prefix) {
  walk(root, std::string(prefix));
}

SlotTable::SlotTable(std::span<const FreeSlot> slots, std::string_view prefix) {
  for (const FreeSlot& free : slots)
    add(prefix, free.name, *free.slot);
}

void SlotTable::walk(Module& root, std::string prefix) {
  ModuleWalk walk(root, std::move(prefix));
  for (; !walk.is_done(); walk.advance())
    enter(walk.module(), walk.prefix());
  for (const std::string& loop : walk.loops())
    errors_.push_back(concat("module ", quoted(loop), " is registered inside itself"));
}

void SlotTable::enter(Module& module, std::string_view prefix) {
  for (const std::string& error : module.registration_errors()) {
    errors_.push_back(concat("module ", quoted(prefix.substr(0, prefix.rfind('.'))), " (",
                             module.class_name(), "): ", error));
  }
  for (const Module::NamedSlot& named : module.own_parameters())
    add(prefix, named);
  for (const Module::NamedSlot& named : module.own_buffers())
    if (named.persistent) add(prefix, named);
}

void SlotTable::add(std::string_view prefix, const Module::NamedSlot& named) {
  if (named.slot != nullptr) add(prefix, named.name, *named.slot);
}

void SlotTable::add(std::string_view prefix, std::string_view name, Slot& slot) {
  rows_.push_back({.slot = &slot,
                   .key_begin = static_cast<std::uint32_t>(keys_.size()),
                   .key_size = static_cast<std::uint32_t>(prefix.size() + name.size())});
  keys_ += prefix;
  keys_ += name;
}

// The slot remembers the last row that noted it. What it remembers may stem from another table;
// it counts only if that row of this table is an earlier one and has this very slot.
std::optional<std::uint32_t> SlotTable::note_and_find_twin(std::uint32_t row) {
  Slot& slot = *rows_[row].slot;
  const std::uint32_t remembered = slot.table_row_;
  slot.table_row_ = row;
  if (remembered < row && rows_[remembered].slot == &slot) return remembered;
  return std::nullopt;
}

void SlotTable::point(const Row& row, const TensorView& tensor, const WeightFile& file) {
  Module* home = row.slot->home_;
  if (home != nullptr && (homes_.empty() || homes_.back() != home)) {
    home->keep_alive(file);
    homes_.push_back(home);
  }
  // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
  row.slot->take(tensor.data(), tensor.strides().first(row.slot->shape().size()));
}

void SlotTable::let_go_of_unused() {
  for (Module* home : homes_)
    home->let_go_of_unused();
}

}  // namespace weightmap
