// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_rules.h"

#include <algorithm>
#include <optional>

#include "base/pattern.h"
#include "runtime/diagnosis_keys.h"

namespace weightmap {
namespace {

constexpr std::size_t kFewRules = 4;  // which are tried as fast as they are found

// Components of the pattern that a name must have to be covered.
std::vector<std::string_view> needed_components(std::string_view pattern) {
  std::vector<std::string_view> components = components_of(pattern);
  std::erase_if(components, [](std::string_view component) {
    return component.find_first_of("*?") != std::string_view::npos;
  });
  return components;
}

}  // namespace

RuleChain::RuleChain(std::span<const RenameRule> rules) : rules_(rules) {
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const RenameRule& rule : rules) {
    const std::string_view pattern = rule.pattern;
    beginnings_.push_back(pattern.substr(0, pattern.find_first_of("*?")));
    for (const std::string_view component : needed_components(pattern))
      ++counts[component];
  }
  for (std::size_t number = 0; number < rules.size(); ++number) {
    const auto needed = needed_components(rules[number].pattern);
    const auto rarest = std::ranges::min_element(
        needed, {}, [&](std::string_view component) { return counts.at(component); });
    const bool is_indexed = rules.size() > kFewRules && rarest != needed.end();
    (is_indexed ? by_component_[*rarest] : unindexed_).push_back(number);
  }
}

// Rules from that number on which may cover the name.
void RuleChain::find_tryable(std::string_view name, std::size_t from) {
  tryable_.clear();
  const auto add = [&](const std::vector<std::size_t>& numbers) {
    tryable_.insert(tryable_.end(), std::ranges::lower_bound(numbers, from), numbers.end());
  };
  add(unindexed_);
  if (by_component_.empty()) return;
  steps_ += 2 * name.size();
  while (true) {
    const auto dot = name.find('.');
    const auto numbers = by_component_.find(name.substr(0, dot));
    if (numbers != by_component_.end()) add(numbers->second);
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  std::ranges::sort(tryable_);
}

bool RuleChain::apply_one(std::size_t number, std::string& name) {
  constexpr std::size_t kStepsOfMatch = 64;
  ++steps_;
  if (!name.starts_with(beginnings_[number])) return false;
  const RenameRule& rule = rules_[number];
  steps_ += kStepsOfMatch + rule.pattern.size() * name.size() / 8;
  const auto parts = match(rule.pattern, name);
  if (!parts) return false;
  name = substitute(rule.replacement, *parts);
  return true;
}

bool RuleChain::apply(std::string& name, std::vector<std::size_t>* touched) {
  bool is_covered = false;
  find_tryable(name, 0);
  for (std::size_t i = 0; i < tryable_.size();) {
    const std::size_t number = tryable_[i++];
    if (!apply_one(number, name)) continue;
    is_covered = true;
    if (touched != nullptr) touched->push_back(number);
    find_tryable(name, number + 1);
    i = 0;
  }
  return is_covered;
}

}  // namespace weightmap
