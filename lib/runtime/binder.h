// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/bind.h"

#include "runtime/slot_walk.h"
#include "runtime/weight_file_state.h"

namespace weightmap {

// One bind from start to end.
class Binder {
 public:
  // `root`: the module whose slots are walked through, if it is one.
  Binder(SlotWalk& walk, Module* root, const WeightFile& file, const BindOptions& options);
  BindReport run(std::string class_name) &&;

 private:
  static constexpr std::uint32_t kNotFound = format::kNoEntry;

  // A slot that was met, and the tensor that fits it.
  struct Row {
    Slot* slot = nullptr;
    std::uint32_t tensor = kNotFound;
  };

  void find_composites();
  void find(std::span<const SlotWalk::Named> batch);
  bool is_next(std::string_view key) const;
  void find_together(std::span<const SlotWalk::Named> batch, std::size_t begin);
  void match(const SlotWalk::Named& named, std::uint32_t number);
  bool is_key(std::uint32_t number) const;
  bool fits(const Slot& slot, const fb::Entry& entry) const;
  void accept(std::uint32_t row, std::uint32_t number, std::string_view key);
  bool breaks_tie(std::uint32_t twin, std::uint32_t number) const;
  void note_taken(std::uint32_t number);
  void note_absent(const SlotWalk::Named& named);
  std::optional<std::uint32_t> note_and_find_twin(std::uint32_t row);
  void collect_unexpected();
  void collect_unexpected(std::string_view name, bool is_taken);
  void order_unexpected();
  void collect_errors();
  void point_slots();

  SlotWalk& walk_;
  Module* root_;
  const WeightFile& file_;
  const WeightFile::State& state_;
  const BindOptions& options_;
  BindReport report_;
  std::vector<Row> rows_;
  std::vector<bool> taken_;  // by tensor of the file
  std::uint32_t taken_count_ = 0;
  std::vector<bool> taken_composites_;  // by composite of the file
  // By tensor, of the first part of each composite: which. Empty where there are no composites.
  std::vector<std::uint32_t> begun_composites_;
  std::array<std::uint32_t, SlotWalk::kBatch> numbers_{};  // of a batch's keys
  std::uint32_t next_ = 0;                                 // the tensor after the last one found
  std::uint32_t misses_ = 0;                               // keys in a row that were not the next
};

}  // namespace weightmap
