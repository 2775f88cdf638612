// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_renaming.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "runtime/diagnosis_rules.h"

namespace weightmap {
Renaming::Renaming(const KeyTable& wanted, std::span<const KeyFacts> found)
    : wanted_(wanted), found_(found) {
  now_.names.reserve(found.size());
  for (const KeyFacts& key : found)
    now_.names.emplace_back(key.name);
  place(now_);
  list_rest();
}

bool Renaming::is_spent() const {
  return steps_ > kMostSteps + kMostStepsOfKey * (wanted_.keys().size() + found_.size());
}

Renaming::Fit Renaming::fit_of(std::uint32_t wanted, std::uint32_t found) const {
  const KeyFacts& key = wanted_.keys()[wanted];
  if (shapes_agree(key, found_[found])) return Fit::kFits;
  return are_transposed(key, found_[found]) ? Fit::kTransposed : Fit::kMisfit;
}

// Who has which name, and whether it fits there.
void Renaming::place(Trial& trial) const {
  trial.takers.assign(wanted_.keys().size(), kNobody);
  trial.fits.assign(wanted_.keys().size(), Fit::kMissing);
  for (std::uint32_t i = 0; i < trial.names.size(); ++i) {
    const auto wanted = wanted_.find(trial.names[i]);
    if (!wanted || trial.takers[*wanted] != kNobody) continue;
    trial.takers[*wanted] = i;
    trial.fits[*wanted] = fit_of(*wanted, i);
  }
}

void Renaming::list_rest() {
  missing_.clear();
  unexpected_.clear();
  for (std::uint32_t i = 0; i < now_.takers.size(); ++i) {
    const bool is_first = wanted_.find(wanted_.keys()[i].name) == i;
    const bool is_missing = now_.takers[i] == kNobody && is_first;
    if (is_missing && is_comparable(wanted_.keys()[i].name)) missing_.push_back(i);
  }
  for (std::uint32_t i = 0; i < now_.names.size(); ++i) {
    if (!wanted_.find(now_.names[i]) && is_comparable(now_.names[i])) unexpected_.push_back(i);
  }
}

std::size_t Renaming::estimate(std::span<const RenameRule> rules,
                               std::span<const std::uint32_t> sample) const {
  constexpr std::uint64_t kStepsOfKey = 100;
  RuleChain chain(rules);
  std::size_t count = 0;
  for (const std::uint32_t number : sample) {
    std::string name = now_.names[number];
    if (!chain.apply(name)) continue;
    const auto wanted = wanted_.find(name);
    if (!wanted || fit(*wanted) != Fit::kMissing) continue;
    if (fit_of(*wanted, number) == Fit::kFits) ++count;
  }
  spend(chain.steps() + kStepsOfKey * sample.size());
  return count;
}

Renaming::Trial Renaming::attempt_all(std::vector<RenameRule> rules) const {
  constexpr std::uint64_t kStepsOfKey = 300;
  Trial trial{.rules = std::move(rules)};
  RuleChain chain(trial.rules);
  trial.names = now_.names;
  for (std::string& name : trial.names) {
    spend(kStepsOfKey + name.size());
    chain.apply(name);
  }
  spend(chain.steps());
  place(trial);
  count(trial);
  return trial;
}

void Renaming::count(Trial& trial) const {
  RuleChain chain(trial.rules);
  trial.explained.assign(trial.rules.size(), 0);
  trial.witnesses.assign(trial.rules.size(), {});
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
    for (const std::size_t rule : touched) {
      ++trial.explained[rule];
      if (now_.fits[i] != Fit::kFits) trial.witnesses[rule].push_back(i);
    }
  }
  spend(chain.steps());
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
    const bool is_good = now_.fits[i] == Fit::kFits || now_.fits[i] == Fit::kTransposed;
    if (is_good && trial.fits[i] < now_.fits[i]) return false;
  }
  return true;
}

std::optional<Renaming::Trial> Renaming::attempt(std::vector<RenameRule> rules) const {
  if (is_spent()) return std::nullopt;
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
