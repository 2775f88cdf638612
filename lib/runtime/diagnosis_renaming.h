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

// Rules, applied one after another. Refers to them.
class RuleChain {
 public:
  explicit RuleChain(std::span<const RenameRule> rules);

  // False if no rule covers the name, which then stays. `touched`, if given: the numbers of those
  // that do.
  bool apply(std::string& name, std::vector<std::size_t>* touched = nullptr) const;

 private:
  struct Compiled {
    const RenameRule* rule = nullptr;
    std::string_view beginning;  // what a name that it covers begins with
    std::string_view inside;     // what it has somewhere
  };
  std::vector<Compiled> rules_;
};

class Renaming {
 public:
  static constexpr std::uint32_t kNobody = 0xFFFFFFFFU;

  enum class Fit : std::uint8_t { kMissing, kMisfit, kFits };

  // What a list of rules leads to.
  struct Trial {
    std::vector<RenameRule> rules;       // without those that explain nothing
    std::vector<std::size_t> explained;  // by rule: wanted keys that fit thanks to it
    std::size_t gained = 0;              // wanted keys that fit and did not before
    std::size_t misfits = 0;             // that are there now, with another shape
    std::size_t in_vain = 0;             // unexpected keys that are renamed and stay unexpected
    std::vector<std::string> names;      // of all found keys
    std::vector<std::uint32_t> takers;   // by wanted key: the found one of its name
    std::vector<Fit> fits;               // by wanted key
  };

  // Both must outlive it.
  Renaming(const KeyTable& wanted, std::span<const KeyFacts> found);

  const KeyTable& wanted() const { return wanted_; }
  std::span<const KeyFacts> found() const { return found_; }
  const std::vector<std::string>& names() const { return now_.names; }
  // The found key that has the name of a wanted one, or kNobody.
  std::uint32_t taker(std::uint32_t wanted) const { return now_.takers[wanted]; }
  Fit fit(std::uint32_t wanted) const { return now_.fits[wanted]; }
  const std::vector<std::uint32_t>& missing() const { return missing_; }
  const std::vector<std::uint32_t>& unexpected() const { return unexpected_; }

  // About how many of some unexpected keys the rules would give the name of a missing one.
  std::size_t estimate(std::span<const RenameRule> rules,
                       std::span<const std::uint32_t> sample) const;

  // Nothing where the rules give two keys one name, one an empty name, or take a fitting key away.
  std::optional<Trial> attempt(std::vector<RenameRule> rules) const;

  void accept(Trial trial);

 private:
  Trial attempt_all(std::vector<RenameRule> rules) const;
  void place(Trial& trial) const;
  bool is_sound(const Trial& trial) const;
  void count(Trial& trial) const;
  void list_rest();
  bool agree(std::uint32_t wanted, std::uint32_t found) const;

  const KeyTable& wanted_;
  std::span<const KeyFacts> found_;
  Trial now_;
  std::vector<std::uint32_t> missing_;
  std::vector<std::uint32_t> unexpected_;
};

}  // namespace weightmap
