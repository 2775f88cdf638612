// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_keys.h"

#include <algorithm>

#include "base/text.h"

namespace weightmap {

KeyTable::KeyTable(std::span<const KeyFacts> keys) : keys_(keys) {
  numbers_.reserve(keys.size());
  for (std::uint32_t i = 0; i < keys.size(); ++i)
    numbers_.emplace(keys[i].name, i);
}

std::optional<std::uint32_t> KeyTable::find(std::string_view name) const {
  const auto found = numbers_.find(name);
  return found == numbers_.end() ? std::nullopt : std::optional(found->second);
}

bool shapes_agree(const KeyFacts& a, const KeyFacts& b) {
  return !a.shape || !b.shape || std::ranges::equal(*a.shape, *b.shape);
}

bool are_transposed(const KeyFacts& a, const KeyFacts& b) {
  if (!a.shape || !b.shape || a.shape->size() != 2 || b.shape->size() != 2) return false;
  const bool is_turned = (*a.shape)[0] == (*b.shape)[1] && (*a.shape)[1] == (*b.shape)[0];
  return is_turned && (*a.shape)[0] != (*a.shape)[1];
}

bool dtypes_agree(const KeyFacts& a, const KeyFacts& b) {
  return !a.dtype || !b.dtype || *a.dtype == *b.dtype;
}

std::vector<std::string_view> components_of(std::string_view name) {
  std::vector<std::string_view> components;
  for (;;) {
    const auto dot = name.find('.');
    components.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return components;
    name.remove_prefix(dot + 1);
  }
}

std::string_view last_component(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

bool is_number(std::string_view component) {
  constexpr std::size_t kMostDigits = 9;
  return !component.empty() && component.size() <= kMostDigits &&
         component.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string counted_keys(std::size_t count) {
  return concat(count, count == 1 ? " key" : " keys");
}

}  // namespace weightmap
