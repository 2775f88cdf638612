// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diagnosis.h"
#include "weightmap/load.h"

namespace weightmap {

// What came of a load: the last word on which keys it missed and which it took, since hooks may
// have edited them.
struct LoadOutcome {
  std::vector<std::string_view> taken;  // also what would have been, had nothing failed
  std::span<const std::string> missing;
  std::span<const std::string> unexpected;
  std::span<const Mismatch> mismatched;
  std::span<const std::string> errors;
};

// The keys of both sides of a load that failed, for a diagnosis when one is asked for.
class LoadFacts {
 public:
  void note_wanted(Module& root);
  void note_wanted(std::span<const FreeSlot> slots);
  void note_found(const WeightFile& file, std::string_view prefix);
  // `prefix`: what its names have lost.
  void note_found(const StateDict& state_dict, std::string_view prefix = "");

  Diagnosis diagnose(const LoadOutcome& outcome, const DiagnosisOptions& options) const;

 private:
  struct Key {
    std::string name;
    std::optional<Dtype> dtype = std::nullopt;
    std::optional<std::vector<std::int64_t>> shape = std::nullopt;
  };
  class Sides;
  void add_wanted(std::string_view name, const Slot& slot);
  void add_found(std::string_view name, const TensorView& tensor);
  void add_found(std::string_view name, Dtype dtype, std::span<const std::int64_t> shape);

  std::string prefix_;
  std::vector<Key> wanted_;
  std::vector<Key> found_;
};

// What a load that failed says beside its missing and unexpected keys.
void add_failures(const LoadOutcome& outcome, Diagnosis& diagnosis);

}  // namespace weightmap
