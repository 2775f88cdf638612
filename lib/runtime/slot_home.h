// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "weightmap/module.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// What keeps the mappings open that slots are bound to: of all slots that were first registered
// with one module. It belongs to that module and to them, whichever lives longest: slots may be
// registered with other modules, too, and any of these may be gone before.
class SlotHome {
 public:
  explicit SlotHome(const Module& module) : module_(&module) {}

  void add_slot() { ++slot_count_; }
  std::size_t slot_count() const { return slot_count_; }

  void forget_module() { module_ = nullptr; }

  // Slots of this home point into the file from now on. Whether there may be others now that none
  // points into any more.
  bool keep_open(const WeightFile& file);

  // All slots of this home point into the file from now on.
  void keep_only(const WeightFile& file);

  // Slots of this home point elsewhere from now on.
  void note_unused() { may_have_unused_ = true; }

  // What no slot points into is let go; nothing is done where nothing can be unused. Without the
  // module nobody knows the slots, and all stays open as long as one of them is there.
  void let_go_of_unused();

  // The file that the slot is bound to; null where its bytes are not a file's.
  const WeightFile* file_of(const Slot& slot) const;

 private:
  template <typename Question>
  void drop_if(const Question& question);  // of the older ones
  bool points_into(const WeightFile& file) const;

  const Module* module_;
  std::size_t slot_count_ = 0;
  bool may_have_unused_ = false;
  std::optional<WeightFile> file_;    // of the last bind
  std::optional<WeightFile> before_;  // of the one before: that there are more is rare
  std::vector<WeightFile> older_;
};

}  // namespace weightmap
