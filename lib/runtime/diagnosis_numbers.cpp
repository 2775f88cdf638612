// SPDX-License-Identifier: Apache-2.0
// Two things that no single edit of a name says: a component that stands at several places, and
// numbers that are all moved.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_search.h"

namespace weightmap {
namespace {

using Kind = DiagnosisCause::Kind;

constexpr std::size_t kMostWrappers = 8;
constexpr std::size_t kMostNested = 8;      // places in one name
constexpr std::size_t kMostShifted = 256;   // numbers below one module
constexpr std::size_t kMostNumbered = 100;  // modules with numbers below them

// How PyTorch and what stands around it call modules that wrap others; they may be names of the
// model's own modules all the same.
constexpr std::string_view kWrappers[] = {"module", "_orig_mod", "_fsdp_wrapped_module",
                                          "_checkpoint_wrapped_module"};

struct Places {
  bool at_start = false;
  std::size_t inside = 0;  // at most so often in one name, not counting the start
};

std::map<std::string_view, Places> count_places(const Renaming& renaming,
                                                const std::set<std::string_view>& wanted) {
  std::map<std::string_view, Places> places;
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const std::uint32_t number : renaming.unexpected()) {
    const auto components = components_of(renaming.names()[number]);
    counts.clear();
    for (std::size_t i = 0; i + 1 < components.size(); ++i) {
      const bool is_wrapper = std::ranges::find(kWrappers, components[i]) != std::end(kWrappers);
      if (is_number(components[i]) || (wanted.contains(components[i]) && !is_wrapper)) continue;
      if (components[i].empty() || components[i].find_first_of("*=?") != std::string_view::npos) {
        continue;
      }
      Places& here = places[components[i]];
      here.at_start |= i == 0;
      if (i > 0) here.inside = std::max(here.inside, ++counts[components[i]]);
    }
  }
  return places;
}

}  // namespace

std::optional<RenameCandidate> wrapper_candidate(const Renaming& renaming) {
  std::set<std::string_view> wanted;
  for (const std::uint32_t number : renaming.missing()) {
    for (const std::string_view component : components_of(renaming.wanted().keys()[number].name))
      wanted.insert(component);
  }
  RenameCandidate candidate{.is_pure = true};
  const auto add = [&](std::string_view component, const Places& where, bool at_start) {
    const NameEdit edit{.from = std::string(component), .at_start = at_start};
    candidate.rules.push_back(rule_of(edit));
    candidate.causes.push_back(cause_of({.from = edit.from, .at_start = where.inside == 0}));
  };
  const auto places = count_places(renaming, wanted);
  if (places.size() > kMostWrappers) return std::nullopt;
  // What stands at the start goes last: before that, everything else is inside.
  for (const auto& [component, where] : places) {
    const std::size_t times = std::min(where.inside, kMostNested);
    for (std::size_t i = 0; i < times; ++i)
      add(component, where, false);
  }
  for (const auto& [component, where] : places) {
    if (where.at_start) add(component, where, true);
  }
  if (candidate.rules.empty()) return std::nullopt;
  return candidate;
}

namespace {

using Numbers = std::set<std::uint32_t>;

std::uint32_t value_of(std::string_view digits) {
  std::uint32_t value = 0;
  for (const char digit : digits)
    value = value * 10 + static_cast<std::uint32_t>(digit - '0');
  return value;
}

// Calls visit(what stands before a number, with its dot, the number) for every number in a name.
template <typename Visit>
void visit_numbers(std::string_view name, const Visit& visit) {
  for (const std::string_view component : components_of(name)) {
    const bool is_plain = is_number(component) && (component.size() == 1 || component[0] != '0');
    if (!is_plain || component.data() + component.size() == name.data() + name.size()) continue;
    visit(name.substr(0, static_cast<std::size_t>(component.data() - name.data())),
          value_of(component));
  }
}

// Modules below which some missing and some unexpected key has a number.
std::set<std::string_view> numbered_modules(const Renaming& renaming) {
  std::unordered_set<std::string_view> missing;
  for (const std::uint32_t number : renaming.missing()) {
    visit_numbers(renaming.wanted().keys()[number].name,
                  [&](std::string_view before, std::uint32_t) { missing.insert(before); });
  }
  std::set<std::string_view> both;
  for (const std::uint32_t number : renaming.unexpected()) {
    visit_numbers(renaming.names()[number], [&](std::string_view before, std::uint32_t) {
      if (missing.contains(before) && both.size() < kMostNumbered) both.insert(before);
    });
  }
  return both;
}

RenameCandidate shift(std::string_view before, const Numbers& found, std::int64_t by) {
  RenameCandidate candidate{.is_preferred = true};
  const auto add = [&](std::uint32_t number) {
    candidate.rules.push_back({concat(before, number, ".*"), concat(before, number + by, ".*")});
    candidate.causes.push_back(
        {.kind = Kind::kShiftedNumbers,
         .subject = std::string(before),
         .text = concat("the numbers below ", quoted(before), " are ", by < 0 ? -by : by,
                        by < 0 ? " too high" : " too low")});
  };
  // In an order in which no number becomes one that is still to be moved.
  if (by < 0) {
    std::ranges::for_each(found, add);
  } else {
    std::for_each(found.rbegin(), found.rend(), add);
  }
  return candidate;
}

}  // namespace

std::vector<RenameCandidate> shift_candidates(const Renaming& renaming) {
  const auto modules = numbered_modules(renaming);
  std::map<std::string_view, Numbers> wanted;
  std::map<std::string_view, Numbers> found;
  const auto add_to = [&](std::map<std::string_view, Numbers>& numbers) {
    return [&](std::string_view before, std::uint32_t number) {
      if (modules.contains(before)) numbers[before].insert(number);
    };
  };
  if (!modules.empty()) {
    for (const KeyFacts& key : renaming.wanted().keys())
      visit_numbers(key.name, add_to(wanted));
    for (const std::string& name : renaming.names())
      visit_numbers(name, add_to(found));
  }
  std::vector<RenameCandidate> candidates;
  for (const auto& [before, numbers] : found) {
    const Numbers& others = wanted[before];
    const std::int64_t by = std::int64_t{*others.begin()} - *numbers.begin();
    const auto is_moved = [&](std::uint32_t number, std::uint32_t other) {
      return number + by == other;
    };
    const bool is_shift = by != 0 && numbers.size() == others.size() &&
                          numbers.size() <= kMostShifted &&
                          before.find_first_of("*=?") == std::string_view::npos &&
                          std::ranges::equal(numbers, others, is_moved);
    if (is_shift) candidates.push_back(shift(before, numbers, by));
  }
  return candidates;
}

}  // namespace weightmap
