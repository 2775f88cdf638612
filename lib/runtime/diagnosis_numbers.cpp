// SPDX-License-Identifier: Apache-2.0
// Numbers that are all moved, which no single edit of a name says.
#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_search.h"

namespace weightmap {
namespace {

using Kind = DiagnosisCause::Kind;
using Numbers = std::vector<std::uint32_t>;
using Moves = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

constexpr std::size_t kMostInName = 4;
constexpr std::size_t kMostMoved = 256;   // numbers below one module
constexpr std::size_t kMostRules = 512;   // of one candidate
constexpr std::size_t kMostFamilies = 8;  // that are a candidate alone

// Calls visit(what stands before a number, with its dot, the number) for the first few numbers in a
// name.
template <typename Visit>
void visit_numbers(std::string_view name, const Visit& visit) {
  std::size_t left = kMostInName;
  if (!is_comparable(name)) return;
  for (const std::string_view component : components_of(name)) {
    const bool is_plain = is_number(component) && (component.size() == 1 || component[0] != '0');
    if (!is_plain || component.data() + component.size() == name.data() + name.size()) continue;
    if (left-- == 0) return;
    visit(name.substr(0, static_cast<std::size_t>(component.data() - name.data())),
          number_value(component));
  }
}

// A module below which some missing and some unexpected key has a number.
struct Numbered {
  Numbers wanted;
  Numbers found;
};

using Modules = std::map<std::string_view, Numbered>;

Modules numbered_modules(const Renaming& renaming) {
  std::unordered_set<std::string_view> missing;
  for (const std::uint32_t number : renaming.missing()) {
    visit_numbers(renaming.wanted().keys()[number].name,
                  [&](std::string_view before, std::uint32_t) { missing.insert(before); });
  }
  Modules modules;
  for (const std::uint32_t number : renaming.unexpected()) {
    visit_numbers(renaming.names()[number], [&](std::string_view before, std::uint32_t) {
      const bool is_sayable = before.find_first_of("*=?") == std::string_view::npos;
      if (is_sayable && missing.contains(before)) modules[before];
    });
  }
  return modules;
}

void add_numbers(std::string_view name, Numbers Numbered::*side, Modules& modules) {
  visit_numbers(name, [&](std::string_view before, std::uint32_t number) {
    const auto module = modules.find(before);
    if (module == modules.end()) return;
    Numbers& numbers = module->second.*side;
    if (numbers.empty() || numbers.back() != number) numbers.push_back(number);
  });
}

void sort(Numbers& numbers) {
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

// The first of the one becomes the first of the other and so on; nothing where that is not all.
Moves moves_between(const Numbered& module) {
  Moves moves;
  if (module.found.size() != module.wanted.size()) return {};
  for (std::size_t i = 0; i < module.found.size(); ++i) {
    if (module.found[i] != module.wanted[i]) moves.emplace_back(module.found[i], module.wanted[i]);
  }
  if (moves.size() > kMostMoved) return {};
  return moves;
}

// Modules that differ by numbers alone: "stack*.layers.", of which all move alike.
struct Family {
  std::string before;
  Moves moves;
  bool is_shift = true;  // all by as much; else by their order
};

bool is_shift(const Moves& moves, const Numbered& module) {
  const auto distance = [](const auto& move) { return std::int64_t{move.second} - move.first; };
  return moves.size() == module.found.size() && std::ranges::all_of(moves, [&](const auto& move) {
           return distance(move) == distance(moves.front());
         });
}

std::vector<Family> families(const Modules& modules) {
  std::map<std::string, std::vector<std::pair<std::string_view, Family>>> alike;
  for (const auto& [before, module] : modules) {
    Moves moves = moves_between(module);
    const bool shifts = is_shift(moves, module);
    alike[with_stars(before)].push_back(
        {before, {.before = std::string(before), .moves = std::move(moves), .is_shift = shifts}});
  }
  std::vector<Family> families;
  for (auto& [pattern, members] : alike) {
    const Moves& first = members.front().second.moves;
    const bool is_one = members.size() > 1 && std::ranges::all_of(members, [&](const auto& member) {
                          return member.second.moves == first;
                        });
    if (is_one) {
      members.resize(1);
      members.front().second.before = pattern;
    }
    for (auto& [before, family] : members) {
      if (!family.moves.empty()) families.push_back(std::move(family));
    }
  }
  return families;
}

std::string moves_text(const Family& family) {
  const auto& [from, to] = family.moves.front();
  const std::string where = concat("the numbers below ", quoted(family.before), " are ");
  if (family.is_shift) {
    return concat(where, from > to ? from - to : to - from, from > to ? " too high" : " too low");
  }
  return concat(where, "others: by their order alone, ", from, " is wanted as ", to,
                family.moves.size() > 1 ? " and so on" : "");
}

// In an order in which no number becomes one that is still to be moved: those that fall from the
// lowest on, those that rise from the highest on.
Moves in_order(const Moves& moves) {
  Moves ordered;
  const auto falls = [](const auto& move) { return move.second < move.first; };
  std::ranges::copy_if(moves, std::back_inserter(ordered), falls);
  std::copy_if(moves.rbegin(), moves.rend(), std::back_inserter(ordered), std::not_fn(falls));
  return ordered;
}

void add_moves(const Family& family, RenameCandidate& candidate) {
  for (const auto& [from, to] : in_order(family.moves)) {
    candidate.rules.push_back({concat(family.before, from, ".*"), concat(family.before, to, ".*")});
    candidate.causes.push_back(
        {.kind = family.is_shift ? Kind::kShiftedNumbers : Kind::kOtherNumbers,
         .subject = family.before,
         .text = moves_text(family)});
  }
  candidate.is_by_order |= !family.is_shift;
}

}  // namespace

std::vector<RenameCandidate> number_candidates(const Renaming& renaming) {
  constexpr std::uint64_t kStepsOfKey = 500;
  renaming.spend(kStepsOfKey * (renaming.missing().size() + renaming.unexpected().size()));
  Modules modules = numbered_modules(renaming);
  if (modules.empty()) return {};
  renaming.spend(kStepsOfKey * (renaming.wanted().keys().size() + renaming.names().size()));
  for (const KeyFacts& key : renaming.wanted().keys())
    add_numbers(key.name, &Numbered::wanted, modules);
  for (const std::string& name : renaming.names())
    add_numbers(name, &Numbered::found, modules);
  for (auto& [before, module] : modules) {
    sort(module.wanted);
    sort(module.found);
  }
  std::vector<RenameCandidate> candidates;
  RenameCandidate all{.is_preferred = true, .is_evident = true};
  const std::vector<Family> moved = families(modules);
  for (const Family& family : moved) {
    if (all.rules.size() + family.moves.size() <= kMostRules) add_moves(family, all);
    if (moved.size() == 1 || candidates.size() == kMostFamilies) continue;
    add_moves(family,
              candidates.emplace_back(RenameCandidate{.is_preferred = true, .is_evident = true}));
  }
  if (!all.rules.empty()) candidates.insert(candidates.begin(), std::move(all));
  return candidates;
}

}  // namespace weightmap
