// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weightmap/load_report.h"
#include "weightmap/tensor_view.h"

#include "runtime/load_facts.h"
#include "runtime/slot_fit.h"

namespace weightmap {

// What every load does, wherever the tensors come from: judge each slot's tensor, keep ties, tell
// everything, and in the end, if nothing is wrong, change the slots. Sources are numbered by whom
// derives from it.
class Loader {
 public:
  virtual ~Loader() = default;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  Loader(Loader&&) = delete;
  Loader& operator=(Loader&&) = delete;

  // Of a load whose source could not be read.
  static LoadReport failed(std::string class_name, const Error& error);

 protected:
  using Row = LoadReport::Row;

  Loader(const LoadOptions& options, LoadMode mode);

  virtual TensorView tensor(std::uint32_t source) const = 0;
  virtual std::string_view key(std::uint32_t source) const = 0;  // without the prefix
  virtual void point_slots() = 0;
  virtual LoadFacts facts() const = 0;

  // All that can be said about a slot and a tensor; accepts it when it fits.
  void judge(Slot& slot, std::uint32_t source);
  // The tensor fits the slot by itself; it must be the one that the slot has under another name.
  // The slot remembers the last row that took it. What it remembers may stem from another load; it
  // counts only if that row of this one has this very slot.
  void accept(Slot& slot, std::uint32_t source) {
    auto& rows = report_.rows_;
    const std::uint32_t remembered = slot.row_;
    slot.row_ = static_cast<std::uint32_t>(rows.size());
    const bool is_twin = remembered < rows.size() && rows[remembered].slot == &slot;
    if (is_twin && !keeps_tie(remembered, source)) return;
    rows.push_back({&slot, source});
  }
  void note_mismatch(Mismatch mismatch);
  void note_error(std::string message) { messages_.push_back(std::move(message)); }

  // Puts the errors together and, if there are none, changes the slots. `slot_count`: how many the
  // tree has.
  void finish(std::span<const std::string> registration_errors, std::size_t slot_count);

  // Files that slots no longer point into need not stay open for them: of homes that know of some,
  // and of all, after slots were given other memory.
  static void let_go_of_unused(std::span<const Row> rows);
  void leave_files();

  const LoadOptions& options_;
  const LoadMode mode_;
  LoadReport report_;
  std::vector<std::string> messages_;                                   // in the order of events
  std::unordered_map<const Slot*, std::shared_ptr<std::byte>> memory_;  // for those that need some

 private:
  // The row of this load that the slot remembers; null: none took it.
  const Row* row_of(const Slot& slot) const {
    const auto& rows = report_.rows_;
    const bool is_known = slot.row_ < rows.size() && rows[slot.row_].slot == &slot;
    return is_known ? &rows[slot.row_] : nullptr;
  }
  std::optional<Mismatch> find_twin_mismatch(const Row& twin, std::uint32_t source) const;
  bool keeps_tie(std::uint32_t row, std::uint32_t source);
  bool breaks_tie(const Row& twin, std::uint32_t source) const;
  void collect_errors(std::span<const std::string> registration_errors, std::size_t slot_count);
  void find_memory();
  void copy_values();
};

}  // namespace weightmap
