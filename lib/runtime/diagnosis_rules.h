// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weightmap/rename_rule.h"

namespace weightmap {

// Rules, applied one after another as the converter does. Refers to them. A name is tried against
// those alone that share a component with it, however many there are.
class RuleChain {
 public:
  explicit RuleChain(std::span<const RenameRule> rules);

  // False if no rule covers the name, which then stays. `touched`, if given: the numbers of those
  // that do.
  bool apply(std::string& name, std::vector<std::size_t>* touched = nullptr);

  // What was done so far, in steps of about a nanosecond.
  std::uint64_t steps() const { return steps_; }

 private:
  void find_tryable(std::string_view name, std::size_t from);
  bool apply_one(std::size_t number, std::string& name);

  std::span<const RenameRule> rules_;
  std::vector<std::string_view> beginnings_;  // by rule: what a name that it covers begins with
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_component_;
  std::vector<std::size_t> unindexed_;
  std::vector<std::size_t> tryable_;  // of the present name, ascending
  std::uint64_t steps_ = 0;
};

}  // namespace weightmap
