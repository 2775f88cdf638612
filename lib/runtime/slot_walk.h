// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/module.h"

#include "runtime/module_walk.h"

namespace weightmap {

// The slots that a state dict names, under their full names and in PyTorch's order: a module's
// parameters, its persistent buffers, then its children. A slot comes once under each name that
// leads to it. Refers to the modules or the list, which must outlive it and stay as they are.
class SlotWalk {
 public:
  // Every name begins with `prefix`, which must outlive this.
  SlotWalk(Module& root, std::string_view prefix);
  SlotWalk(std::span<const FreeSlot> slots, std::string_view prefix);

  // The next slots, at most kBatch of them, under their names with the prefix; none after the last.
  // Valid until the next call. The names of a tree are put together here and never stand in memory
  // all at once. The memory of the slots, and of the names of a list, has been asked for.
  static constexpr std::size_t kBatch = 64;
  std::span<const FreeSlot> next_batch();

  // How many slots a list has; 0 for a tree, which knows only at its end.
  std::size_t known_count() const { return list_size_; }

  // Whether a module has a part of its own in loading: then the walk has ended there.
  bool met_load_hooks() const { return met_load_hooks_; }

  // Wrong registrations in the modules met so far, a module inside itself.
  std::span<const std::string> errors() const { return errors_; }

 private:
  std::span<const FreeSlot> next_of_list();
  std::span<const FreeSlot> named_batch();
  bool step_through_tree();
  void advance();
  void enter_module();
  void add(std::string_view prefix, std::string_view name, Slot& slot);

  std::string_view list_prefix_;
  std::span<const FreeSlot> list_;
  std::size_t list_size_ = 0;
  std::optional<ModuleWalk> tree_;
  std::size_t next_slot_ = 0;  // of the tree's present module

  std::array<FreeSlot, kBatch> batch_;
  std::array<std::size_t, kBatch> name_ends_{};  // in names_, of names that were put together
  std::size_t count_ = 0;
  std::string names_;
  std::vector<std::string> errors_;
  bool met_load_hooks_ = false;
};

}  // namespace weightmap
