// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_edits.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "base/text.h"
#include "runtime/diagnosis_keys.h"

namespace weightmap {
namespace {

using Components = std::span<const std::string_view>;

std::string joined(Components components) {
  std::string text;
  for (const std::string_view component : components) {
    if (component.data() != components.front().data()) text += '.';
    text += component;
  }
  return text;
}

bool is_digit(char letter) {
  return letter >= '0' && letter <= '9';
}

std::vector<std::string_view> digit_runs(std::string_view text) {
  std::vector<std::string_view> runs;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_digit(text[end]))
      ++end;
    if (end > at) runs.push_back(text.substr(at, end - at));
    at = std::max(end, at + 1);
  }
  return runs;
}

// Numbers that both have, in the same order, stand for any number.
NameEdit generalized(NameEdit edit) {
  const auto runs = digit_runs(edit.from);
  if (!runs.empty() && std::ranges::equal(runs, digit_runs(edit.to))) {
    edit.from = with_stars(edit.from);
    edit.to = with_stars(edit.to);
  }
  return edit;
}

// Two names, and the part in their middle that differs.
struct Alignment {
  std::vector<std::string_view> from;
  std::vector<std::string_view> to;
  std::size_t before = 0;  // components that are the same
  std::size_t after = 0;

  Alignment(std::string_view a, std::string_view b) : from(components_of(a)), to(components_of(b)) {
    const std::size_t least = std::min(from.size(), to.size());
    while (before < least && from[before] == to[before])
      ++before;
    while (after < least - before && from[from.size() - 1 - after] == to[to.size() - 1 - after])
      ++after;
  }

  // With some of the equal components on either side.
  NameEdit edit(std::size_t left, std::size_t right) const {
    const auto middle = [&](Components all) {
      return joined(all.subspan(before - left, all.size() - before - after + left + right));
    };
    return generalized({.from = middle(from),
                        .to = middle(to),
                        .at_start = before == left,
                        .at_end = after == right});
  }
};

// A stretch of both names between numbers that stay.
struct Stretch {
  Components from;
  Components to;
  bool at_start = false;
  bool at_end = false;
};

void add_stretch(Stretch stretch, std::vector<NameEdit>& edits) {
  while (!stretch.from.empty() && !stretch.to.empty() &&
         stretch.from.front() == stretch.to.front()) {
    stretch.from = stretch.from.subspan(1);
    stretch.to = stretch.to.subspan(1);
    stretch.at_start = false;
  }
  while (!stretch.from.empty() && !stretch.to.empty() && stretch.from.back() == stretch.to.back()) {
    stretch.from = stretch.from.first(stretch.from.size() - 1);
    stretch.to = stretch.to.first(stretch.to.size() - 1);
    stretch.at_end = false;
  }
  if (stretch.from.empty() && stretch.to.empty()) return;
  edits.push_back(generalized({.from = joined(stretch.from),
                               .to = joined(stretch.to),
                               .at_start = stretch.at_start,
                               .at_end = stretch.at_end}));
}

std::vector<std::size_t> number_places(Components components) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < components.size(); ++i) {
    if (is_number(components[i])) places.push_back(i);
  }
  return places;
}

// Nothing where the numbers are not the same.
std::vector<NameEdit> split_at_numbers(const Alignment& names) {
  const auto from = number_places(names.from);
  const auto to = number_places(names.to);
  if (from.empty() || from.size() != to.size()) return {};
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (names.from[from[i]] != names.to[to[i]]) return {};
  }
  std::vector<NameEdit> edits;
  std::size_t from_begin = 0;
  std::size_t to_begin = 0;
  for (std::size_t i = 0; i <= from.size(); ++i) {
    const std::size_t from_end = i < from.size() ? from[i] : names.from.size();
    const std::size_t to_end = i < to.size() ? to[i] : names.to.size();
    add_stretch({.from = Components(names.from).subspan(from_begin, from_end - from_begin),
                 .to = Components(names.to).subspan(to_begin, to_end - to_begin),
                 .at_start = i == 0,
                 .at_end = i == from.size()},
                edits);
    from_begin = from_end + 1;
    to_begin = to_end + 1;
  }
  // What is empty in the middle has nothing that a pattern could hold on to.
  const auto has_no_hold = [](const NameEdit& edit) { return edit.from.empty() && !edit.at_start; };
  if (std::ranges::any_of(edits, has_no_hold)) return {};
  return edits;
}

bool is_sayable(std::string_view name) {
  return is_comparable(name) && name.find_first_of("*=") == std::string_view::npos;
}

}  // namespace

std::string with_stars(std::string_view text) {
  std::string starred;
  for (const char letter : text) {
    if (!is_digit(letter)) {
      starred += letter;
    } else if (starred.empty() || starred.back() != '*') {
      starred += '*';
    }
  }
  return starred;
}

std::optional<NameEdits> edits_between(std::string_view from, std::string_view to) {
  if (from == to || !is_sayable(from) || !is_sayable(to)) return std::nullopt;
  const Alignment names(from, to);
  NameEdits edits;
  const bool is_inserted = names.before + names.after == names.from.size();
  if (!is_inserted || names.before == 0) {
    edits.whole.push_back(names.edit(0, 0));
  } else {
    if (names.after > 0) edits.whole.push_back(names.edit(0, 1));
    edits.whole.push_back(names.edit(1, 0));
    if (names.after > 0) edits.whole.push_back(names.edit(1, 1));
  }
  edits.split = split_at_numbers(names);
  if (edits.split.empty()) edits.split = edits.whole;
  return edits;
}

RenameRule rule_of(const NameEdit& edit) {
  const auto placed = [&](const std::string& middle) {
    if (middle.empty()) return std::string(edit.at_start || edit.at_end ? "*" : "*.*");
    return concat(edit.at_start ? "" : "*.", middle, edit.at_end ? "" : ".*");
  };
  if (edit.at_start && edit.at_end) return {edit.from, edit.to};
  return {placed(edit.from), placed(edit.to)};
}

bool is_pure(const NameEdit& edit) {
  if (edit.at_end) return false;  // another slot, not another place of it
  if (edit.from.empty() || edit.to.empty()) return true;
  const bool adds =
      edit.to.ends_with(concat(".", edit.from)) || edit.to.starts_with(concat(edit.from, "."));
  return adds && edit.from.find('*') == std::string::npos;
}

DiagnosisCause cause_of(const NameEdit& edit) {
  using Kind = DiagnosisCause::Kind;
  const bool is_extra = edit.to.empty();
  const std::string& text = is_extra ? edit.from : edit.to;
  if (!is_extra && !edit.from.empty()) {
    const RenameRule rule = rule_of(edit);
    return {.kind = Kind::kRenamed,
            .subject = concat(rule.pattern, "=", rule.replacement),
            .text = concat(quoted(rule.pattern), " is wanted as ", quoted(rule.replacement))};
  }
  if (edit.at_start) {
    const std::string prefix = text + ".";
    return {.kind = is_extra ? Kind::kExtraPrefix : Kind::kLackingPrefix,
            .subject = prefix,
            .text = is_extra ? concat("the keys carry the prefix ", quoted(prefix),
                                      ", which is not wanted")
                             : concat("the keys lack the prefix ", quoted(prefix))};
  }
  return {.kind = is_extra ? Kind::kExtraComponent : Kind::kLackingComponent,
          .subject = text,
          .text = is_extra ? concat("the keys have ", quoted(text), " in them, which is not wanted")
                           : concat("the keys lack ", quoted(text), " in them")};
}

}  // namespace weightmap
