// SPDX-License-Identifier: Apache-2.0
// A component that stands at several places, which no single edit of a name says.
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_kinship.h"
#include "runtime/diagnosis_search.h"

namespace weightmap {
namespace {

constexpr std::size_t kMostWrappers = 8;
constexpr std::size_t kMostNested = 8;  // places in one name

struct Places {
  bool at_start = false;
  std::size_t inside = 0;  // at most so often in one name, not counting the start
};

// Ends when there are more of them than can be wrappers.
std::map<std::string_view, Places> count_places(
    const Renaming& renaming, const std::unordered_set<std::string_view>& wanted) {
  std::map<std::string_view, Places> places;
  std::unordered_map<std::string_view, std::size_t> counts;
  for (const std::uint32_t number : renaming.unexpected()) {
    const auto components = components_of(renaming.names()[number]);
    counts.clear();
    if (places.size() > kMostWrappers) break;
    for (std::size_t i = 0; i + 1 < components.size(); ++i) {
      const bool is_own = wanted.contains(components[i]) && !is_wrapper(components[i]);
      if (is_number(components[i]) || is_own) continue;
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
  std::unordered_set<std::string_view> wanted;
  for (const std::uint32_t number : renaming.missing()) {
    for (const std::string_view component : components_of(renaming.wanted().keys()[number].name))
      wanted.insert(component);
  }
  RenameCandidate candidate{.is_pure = true, .is_evident = true};
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

}  // namespace weightmap
