// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weightmap/diagnosis.h"

namespace weightmap {

// Keys of one side by name.
class KeyTable {
 public:
  explicit KeyTable(std::span<const KeyFacts> keys);

  std::span<const KeyFacts> keys() const { return keys_; }
  std::optional<std::uint32_t> find(std::string_view name) const;

 private:
  std::span<const KeyFacts> keys_;
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

// What is not known agrees with everything. As in a load, [1] may come where [] is wanted.
bool shapes_agree(const KeyFacts& wanted, const KeyFacts& found);
bool are_transposed(const KeyFacts& a, const KeyFacts& b);  // two dimensions, which are not equal
bool dtypes_agree(const KeyFacts& a, const KeyFacts& b);

// Equal where shapes agree. REQUIRES: a shape.
std::uint64_t shape_hash(const KeyFacts& key);

// Longer names, or those of more components, are nobody's: they take part in exact matching only,
// which keeps what is quadratic in a name small.
inline constexpr std::size_t kLongestName = 512;
inline constexpr std::size_t kMostComponents = 32;
bool is_comparable(std::string_view name);

// Between the dots: "a..b" has an empty one.
std::vector<std::string_view> components_of(std::string_view name);
std::string_view last_component(std::string_view name);
bool is_number(std::string_view component);              // up to nine digits
std::uint32_t number_value(std::string_view component);  // REQUIRES: is_number(component)

std::string counted_keys(std::size_t count);  // "1 key", "2 keys"

}  // namespace weightmap
