// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_renaming.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/pattern.h"

namespace weightmap {
namespace {

std::string_view longest_piece(std::string_view pattern) {
  std::string_view longest;
  while (!pattern.empty()) {
    const std::string_view piece = pattern.substr(0, pattern.find_first_of("*?"));
    if (piece.size() > longest.size()) longest = piece;
    pattern.remove_prefix(std::min(pattern.size(), piece.size() + 1));
  }
  return longest;
}

}  // namespace

RuleChain::RuleChain(std::span<const RenameRule> rules) {
  for (const RenameRule& rule : rules) {
    const std::string_view pattern = rule.pattern;
    rules_.push_back({.rule = &rule,
                      .beginning = pattern.substr(0, pattern.find_first_of("*?")),
                      .inside = longest_piece(pattern)});
  }
}

bool RuleChain::apply(std::string& name, std::vector<std::size_t>* touched) const {
  bool is_covered = false;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const Compiled& compiled = rules_[i];
    if (!name.starts_with(compiled.beginning)) continue;
    if (name.find(compiled.inside) == std::string::npos) continue;
    const auto parts = match(compiled.rule->pattern, name);
    if (!parts) continue;
    name = substitute(compiled.rule->replacement, *parts);
    is_covered = true;
    if (touched != nullptr) touched->push_back(i);
  }
  return is_covered;
}

Renaming::Renaming(const KeyTable& wanted, std::span<const KeyFacts> found)
    : wanted_(wanted), found_(found) {
  now_.names.reserve(found.size());
  for (const KeyFacts& key : found)
    now_.names.emplace_back(key.name);
  place(now_);
  list_rest();
}

bool Renaming::agree(std::uint32_t wanted, std::uint32_t found) const {
  const KeyFacts& key = wanted_.keys()[wanted];
  return shapes_agree(key, found_[found]) || are_transposed(key, found_[found]);
}

// Who has which name, and whether it fits there.
void Renaming::place(Trial& trial) const {
  trial.takers.assign(wanted_.keys().size(), kNobody);
  trial.fits.assign(wanted_.keys().size(), Fit::kMissing);
  for (std::uint32_t i = 0; i < trial.names.size(); ++i) {
    const auto wanted = wanted_.find(trial.names[i]);
    if (!wanted || trial.takers[*wanted] != kNobody) continue;
    trial.takers[*wanted] = i;
    trial.fits[*wanted] = agree(*wanted, i) ? Fit::kFits : Fit::kMisfit;
  }
}

void Renaming::list_rest() {
  missing_.clear();
  unexpected_.clear();
  for (std::uint32_t i = 0; i < now_.takers.size(); ++i) {
    const bool is_first = wanted_.find(wanted_.keys()[i].name) == i;
    if (now_.takers[i] == kNobody && is_first) missing_.push_back(i);
  }
  for (std::uint32_t i = 0; i < now_.names.size(); ++i) {
    if (!wanted_.find(now_.names[i])) unexpected_.push_back(i);
  }
}

std::size_t Renaming::estimate(std::span<const RenameRule> rules,
                               std::span<const std::uint32_t> sample) const {
  const RuleChain chain(rules);
  std::size_t count = 0;
  for (const std::uint32_t number : sample) {
    std::string name = now_.names[number];
    if (!chain.apply(name)) continue;
    const auto wanted = wanted_.find(name);
    if (wanted && fit(*wanted) == Fit::kMissing && agree(*wanted, number)) ++count;
  }
  return count;
}

Renaming::Trial Renaming::attempt_all(std::vector<RenameRule> rules) const {
  Trial trial{.rules = std::move(rules)};
  const RuleChain chain(trial.rules);
  trial.names = now_.names;
  for (std::string& name : trial.names)
    chain.apply(name);
  place(trial);
  count(trial);
  return trial;
}

void Renaming::count(Trial& trial) const {
  const RuleChain chain(trial.rules);
  trial.explained.assign(trial.rules.size(), 0);
  std::vector<std::size_t> touched;
  for (std::uint32_t i = 0; i < trial.takers.size(); ++i) {
    const std::uint32_t taker = trial.takers[i];
    if (taker == kNobody) continue;
    if (now_.takers[i] == kNobody && trial.fits[i] == Fit::kMisfit) ++trial.misfits;
    if (trial.fits[i] == Fit::kFits && now_.fits[i] != Fit::kFits) ++trial.gained;
    const bool is_moved = trial.names[taker] != now_.names[taker];
    if (trial.fits[i] != Fit::kFits || !is_moved) continue;
    touched.clear();
    std::string name = now_.names[taker];
    chain.apply(name, &touched);
    for (const std::size_t rule : touched)
      ++trial.explained[rule];
  }
  for (const std::uint32_t i : unexpected_) {
    const bool is_moved = trial.names[i] != now_.names[i];
    if (is_moved && !wanted_.find(trial.names[i])) ++trial.in_vain;
  }
}

bool Renaming::is_sound(const Trial& trial) const {
  std::unordered_set<std::string_view> names;
  names.reserve(trial.names.size());
  for (const std::string& name : trial.names) {
    if (name.empty() || !names.insert(name).second) return false;
  }
  for (std::size_t i = 0; i < trial.fits.size(); ++i) {
    if (now_.fits[i] == Fit::kFits && trial.fits[i] != Fit::kFits) return false;
  }
  return true;
}

std::optional<Renaming::Trial> Renaming::attempt(std::vector<RenameRule> rules) const {
  Trial trial = attempt_all(std::move(rules));
  if (std::ranges::find(trial.explained, 0U) != trial.explained.end()) {
    std::vector<RenameRule> useful;
    for (std::size_t i = 0; i < trial.rules.size(); ++i) {
      if (trial.explained[i] > 0) useful.push_back(std::move(trial.rules[i]));
    }
    if (useful.empty()) return std::nullopt;
    trial = attempt_all(std::move(useful));
    if (std::ranges::find(trial.explained, 0U) != trial.explained.end()) return std::nullopt;
  }
  if (trial.gained == 0 || !is_sound(trial)) return std::nullopt;
  return trial;
}

void Renaming::accept(Trial trial) {
  now_ = std::move(trial);
  list_rest();
}

}  // namespace weightmap
