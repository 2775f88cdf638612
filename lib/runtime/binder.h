// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/bind.h"

#include "runtime/slot_table.h"

namespace weightmap {

// One bind from start to end.
class Binder {
 public:
  // `root`: the module that the table is of, if it is of one.
  Binder(SlotTable& table, Module* root, const WeightFile& file, const BindOptions& options);
  BindReport run(std::string class_name) &&;

 private:
  static constexpr std::uint32_t kNotFound = 0xFFFFFFFFU;

  void find_composites();
  void match(std::uint32_t row);
  void note_absent(std::string_view full_key, const Slot& slot);
  std::optional<std::uint32_t> find(std::string_view key);
  std::optional<Mismatch> find_broken_tie(std::uint32_t row,
                                          std::uint32_t number,
                                          std::string_view key);
  void collect_unexpected();
  void collect_unexpected(std::string_view name, bool is_taken);
  void order_unexpected();
  void collect_errors();
  void point_slots();

  SlotTable& table_;
  Module* root_;
  const WeightFile& file_;
  const BindOptions& options_;
  BindReport report_;
  std::vector<bool> taken_;             // by tensor of the file
  std::vector<bool> taken_composites_;  // by composite of the file
  // By tensor, of the first part of each composite: which. Empty where there are no composites.
  std::vector<std::uint32_t> begun_composites_;
  std::vector<std::uint32_t> row_tensors_;  // by row: the tensor that fits it
  std::uint32_t next_ = 0;                  // the tensor after the last one found
};

}  // namespace weightmap
