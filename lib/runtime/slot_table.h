// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/bind.h"
#include "weightmap/module.h"

namespace weightmap {

// The slots that a state dict names, flat, under their full names and in PyTorch's order: a
// module's parameters, its persistent buffers, then its children. A slot stands once under each
// name that leads to it. Refers to the modules, which must outlive it.
class SlotTable {
 public:
  struct Row {
    Slot* slot = nullptr;
    std::uint32_t key_begin = 0;
    std::uint32_t key_size = 0;
  };

  // Every key begins with `prefix`.
  SlotTable(Module& root, std::string_view prefix);
  SlotTable(std::span<const FreeSlot> slots, std::string_view prefix);

  std::span<const Row> rows() const { return rows_; }
  std::string_view key(const Row& row) const {
    return {keys_.data() + row.key_begin, row.key_size};
  }
  // Wrong registrations anywhere in the tree, a module inside itself.
  std::span<const std::string> errors() const { return errors_; }

  // Whether an earlier row has the same slot; if so, which. Linear-time bookkeeping: ask for the
  // rows in ascending order, each once.
  std::optional<std::uint32_t> note_and_find_twin(std::uint32_t row);

  // Points the slot into the file, which its module then keeps alive.
  void point(const Row& row, const TensorView& tensor, const WeightFile& file);
  // After the last of them: modules let go of files that none of their slots points into any more.
  void let_go_of_unused();

 private:
  void walk(Module& root, std::string prefix);
  void enter(Module& module, std::string_view prefix);
  void add(std::string_view prefix, const Module::NamedSlot& named);
  void add(std::string_view prefix, std::string_view name, Slot& slot);

  std::string keys_;
  std::vector<Row> rows_;
  std::vector<std::string> errors_;
  std::vector<Module*> homes_;  // of slots that were pointed
};

}  // namespace weightmap
