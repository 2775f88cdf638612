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

// The keys of both sides of a load that failed, for a diagnosis when one is asked for.
class LoadFacts {
 public:
  void note_wanted(Module& root);
  void note_wanted(std::span<const FreeSlot> slots);
  void note_found(const WeightFile& file, std::string_view prefix);
  void note_found(const StateDict& state_dict);

  Diagnosis diagnose(const DiagnosisOptions& options) const;

 private:
  struct Key {
    std::string name;
    std::optional<Dtype> dtype;
    std::optional<std::vector<std::int64_t>> shape;
  };
  void add_wanted(std::string_view name, const Slot& slot);
  void add_found(std::string_view name, Dtype dtype, std::span<const std::int64_t> shape);

  std::vector<Key> wanted_;
  std::vector<Key> found_;
};

}  // namespace weightmap
