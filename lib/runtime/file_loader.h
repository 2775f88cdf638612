// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/load_report.h"

#include "format/form_memo.h"
#include "runtime/loader.h"
#include "runtime/slot_walk.h"
#include "runtime/weight_file_state.h"

namespace weightmap {

// One load from a weight file's index, without a state dict between. It looks at tensors and
// composites; values that are no tensors are for modules that have an extra state, and for those
// there is DictLoader.
class FileLoader final : public Loader {
 public:
  FileLoader(Module& root, const WeightFile& file, const LoadOptions& options, LoadMode mode);
  FileLoader(std::span<const FreeSlot> slots,
             const WeightFile& file,
             const LoadOptions& options,
             LoadMode mode);

  // Nothing, and no slot has changed, if a module of the tree has a part of its own in loading.
  std::optional<LoadReport> run() &&;

  // Rows whose slots have one home.
  struct Run {
    SlotHome* home = nullptr;  // null: with none
    std::uint32_t end = 0;     // after the last row
    bool is_whole = false;     // all slots of that home are among them
  };
  // The same, prepared: points the slots of the rows at their tensors in the file, run by run.
  // REQUIRES: they fit.
  static void point(std::span<const LoadReport::Row> rows,
                    std::span<const Run> runs,
                    const WeightFile& file);
  static std::vector<Run> runs_of(std::span<const LoadReport::Row> rows);

 private:
  static constexpr std::uint32_t kNotFound = format::kNoEntry;

  TensorView tensor(std::uint32_t source) const override { return file_.tensor(source); }
  std::string_view key(std::uint32_t source) const override;
  void point_slots() override;
  static bool end_run(std::span<const Row> rows,
                      std::uint32_t begin,
                      const Run& run,
                      const WeightFile& file);
  static bool has_all_slots(std::span<const Row> rows, std::uint32_t begin, const Run& run);
  void prefetch_ahead(std::span<const Row> rows, std::size_t at) const;
  static void point(const Row& row, const WeightFile::State& state);
  LoadFacts facts() const override;

  // What is asked for each key is inline; all of it is used in one source.
  void find_composites();
  void find(std::span<const FreeSlot> batch);
  inline bool is_next(std::string_view key) const;
  void find_together(std::span<const FreeSlot> batch, std::size_t begin);
  inline void match(const FreeSlot& named, std::uint32_t number);
  inline bool is_key(std::uint32_t number) const;
  inline bool fits(const Slot& slot, const fb::Entry& entry);
  inline void note_taken(std::uint32_t number);
  void note_absent(const FreeSlot& named);
  void collect_unexpected();
  void collect_unexpected(std::string_view name, bool is_taken);
  void order_unexpected();

  Module* root_ = nullptr;  // null: a list of slots
  std::span<const FreeSlot> slots_;
  SlotWalk walk_;
  const WeightFile& file_;
  const WeightFile::State& state_;
  std::size_t slot_count_ = 0;
  format::FormMemo<bool> contiguous_;
  std::vector<std::uint8_t> taken_;  // by tensor of the file; bits would cost more to set
  std::uint32_t taken_count_ = 0;
  std::vector<bool> taken_composites_;  // by composite of the file
  // By tensor, of the first part of each composite: which. Empty where there are no composites.
  std::vector<std::uint32_t> begun_composites_;
  std::array<std::uint32_t, SlotWalk::kBatch> numbers_{};  // of a batch's keys
  std::uint32_t next_ = 0;                                 // the tensor after the last one found
  std::uint32_t misses_ = 0;                               // keys in a row that were not the next
};

}  // namespace weightmap
