// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diagnosis.h"

#include "runtime/diagnosis_keys.h"

// What rules would make of the found keys, as the converter applies them.
namespace weightmap {

class Renaming {
 public:
  static constexpr std::uint32_t kNobody = 0xFFFFFFFFU;

  // A transposed matrix does not fit, but it is no sign of a wrong name either.
  enum class Fit : std::uint8_t { kMissing, kMisfit, kTransposed, kFits };

  // What a list of rules leads to.
  struct Trial {
    std::vector<RenameRule> rules;       // without those that explain nothing
    std::vector<std::size_t> explained;  // by rule: wanted keys that fit thanks to it
    std::vector<std::vector<std::uint32_t>> witnesses;  // by rule: those that did not before
    std::size_t gained = 0;                             // wanted keys that fit and did not before
    std::size_t misfits = 0;                            // that are there now, with another shape
    std::size_t in_vain = 0;            // unexpected keys that are renamed and stay unexpected
    std::vector<std::string> names;     // of all found keys
    std::vector<std::uint32_t> takers;  // by wanted key: the found one of its name
    std::vector<Fit> fits;              // by wanted key
  };

  // Both must outlive it.
  Renaming(const KeyTable& wanted, std::span<const KeyFacts> found);

  const KeyTable& wanted() const { return wanted_; }
  std::span<const KeyFacts> found() const { return found_; }
  const std::vector<std::string>& names() const { return now_.names; }
  // The found key that has the name of a wanted one, or kNobody.
  std::uint32_t taker(std::uint32_t wanted) const { return now_.takers[wanted]; }
  Fit fit(std::uint32_t wanted) const { return now_.fits[wanted]; }
  // Of those whose names can be compared: all others match exactly or not at all.
  const std::vector<std::uint32_t>& missing() const { return missing_; }
  const std::vector<std::uint32_t>& unexpected() const { return unexpected_; }

  // About how many of some unexpected keys the rules would give the name of a missing one.
  std::size_t estimate(std::span<const RenameRule> rules,
                       std::span<const std::uint32_t> sample) const;

  // Nothing where the rules give two keys one name, one an empty name, or take a fitting key away,
  // and when is_spent().
  std::optional<Trial> attempt(std::vector<RenameRule> rules) const;

  void accept(Trial trial);

  // Guessing is bounded: so many steps of about a nanosecond, and so many more a key.
  static constexpr std::uint64_t kMostSteps = 100'000'000;
  static constexpr std::uint64_t kMostStepsOfKey = 7'000;
  void spend(std::uint64_t steps) const { steps_ += steps; }
  bool is_spent() const;

 private:
  Trial attempt_all(std::vector<RenameRule> rules) const;
  void place(Trial& trial) const;
  bool is_sound(const Trial& trial) const;
  void count(Trial& trial) const;
  void list_rest();
  Fit fit_of(std::uint32_t wanted, std::uint32_t found) const;

  const KeyTable& wanted_;
  std::span<const KeyFacts> found_;
  Trial now_;
  std::vector<std::uint32_t> missing_;
  std::vector<std::uint32_t> unexpected_;
  mutable std::uint64_t steps_ = 0;
};

}  // namespace weightmap
