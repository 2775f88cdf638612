// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_keys.h"

#include <algorithm>

#include "base/hash.h"
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

bool shapes_agree(const KeyFacts& wanted, const KeyFacts& found) {
  if (!wanted.shape || !found.shape || std::ranges::equal(*wanted.shape, *found.shape)) return true;
  return wanted.shape->empty() && found.shape->size() == 1 && found.shape->front() == 1;
}

bool are_transposed(const KeyFacts& a, const KeyFacts& b) {
  if (!a.shape || !b.shape || a.shape->size() != 2 || b.shape->size() != 2) return false;
  const bool is_turned = (*a.shape)[0] == (*b.shape)[1] && (*a.shape)[1] == (*b.shape)[0];
  return is_turned && (*a.shape)[0] != (*a.shape)[1];
}

bool dtypes_agree(const KeyFacts& a, const KeyFacts& b) {
  return !a.dtype || !b.dtype || *a.dtype == *b.dtype;
}

std::uint64_t shape_hash(const KeyFacts& key) {
  const std::span<const std::int64_t> shape = *key.shape;
  const bool is_scalar = shape.size() == 1 && shape[0] == 1;
  return name_hash(
      {reinterpret_cast<const char*>(shape.data()), is_scalar ? 0 : shape.size_bytes()});
}

bool is_comparable(std::string_view name) {
  return name.size() <= kLongestName &&
         std::ranges::count(name, '.') < std::ptrdiff_t{kMostComponents};
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

std::uint32_t number_value(std::string_view component) {
  std::uint32_t value = 0;
  for (const char digit : component)
    value = value * 10 + static_cast<std::uint32_t>(digit - '0');
  return value;
}

std::string counted_keys(std::size_t count) {
  return concat(count, count == 1 ? " key" : " keys");
}

}  // namespace weightmap
