// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_nearest.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace weightmap {
namespace {

constexpr std::size_t kMostCompared = 16;  // of each of the three kinds

// What two names have in common at both ends, as a part of the longer one.
double likeness(std::string_view a, std::string_view b) {
  const std::size_t least = std::min(a.size(), b.size());
  const std::size_t most = std::max(a.size(), b.size());
  if (most == 0) return 0;
  std::size_t before = 0;
  while (before < least && a[before] == b[before])
    ++before;
  std::size_t after = 0;
  while (after < least - before && a[a.size() - 1 - after] == b[b.size() - 1 - after])
    ++after;
  return static_cast<double>(before + after) / static_cast<double>(most);
}

std::string_view module_of(std::string_view name) {
  return name.substr(0, name.size() - last_component(name).size());
}

class Nearest {
 public:
  explicit Nearest(const Renaming& renaming) : renaming_(renaming) {
    for (const std::uint32_t number : renaming.unexpected()) {
      const KeyFacts& key = renaming.found()[number];
      leaves_[last_component(name_of(number))].push_back(number);
      modules_[module_of(name_of(number))].push_back(number);
      if (key.shape) shapes_[shape_hash(key)].push_back(number);
    }
  }

  // `place`: how far along the missing keys it stands, 0 to 1; most are in a like place there.
  std::uint32_t find(const KeyFacts& wanted, double place) {
    best_ = Renaming::kNobody;
    best_likeness_ = 0.5;
    compare(wanted, lookup(modules_, module_of(wanted.name)), place);
    compare(wanted, lookup(leaves_, last_component(wanted.name)), place);
    if (wanted.shape) compare(wanted, lookup(shapes_, shape_hash(wanted)), place);
    return best_;
  }

 private:
  using List = std::vector<std::uint32_t>;

  std::string_view name_of(std::uint32_t number) const { return renaming_.names()[number]; }

  template <typename Map, typename Key>
  static const List& lookup(const Map& map, const Key& key) {
    static const List none;
    const auto list = map.find(key);
    return list == map.end() ? none : list->second;
  }

  void compare(const KeyFacts& wanted, const List& list, double place) {
    const auto middle = static_cast<std::size_t>(place * static_cast<double>(list.size()));
    const std::size_t half = kMostCompared / 2;
    const std::size_t end = std::min(list.size(), std::max(middle + half, kMostCompared));
    const std::size_t begin = end - std::min(end, kMostCompared);
    for (const std::uint32_t number : std::span(list).subspan(begin, end - begin)) {
      const double now = likeness(wanted.name, name_of(number));
      if (now <= best_likeness_ || !shapes_agree(wanted, renaming_.found()[number])) continue;
      best_ = number;
      best_likeness_ = now;
    }
  }

  const Renaming& renaming_;
  std::unordered_map<std::string_view, List> leaves_;
  std::unordered_map<std::string_view, List> modules_;
  std::unordered_map<std::uint64_t, List> shapes_;
  std::uint32_t best_ = Renaming::kNobody;
  double best_likeness_ = 0;
};

}  // namespace

std::vector<std::uint32_t> nearest_unexpected(const Renaming& renaming) {
  Nearest nearest(renaming);
  std::vector<std::uint32_t> numbers;
  const auto count = static_cast<double>(renaming.missing().size());
  for (std::size_t i = 0; i < renaming.missing().size(); ++i) {
    const KeyFacts& wanted = renaming.wanted().keys()[renaming.missing()[i]];
    numbers.push_back(nearest.find(wanted, static_cast<double>(i) / count));
  }
  return numbers;
}

}  // namespace weightmap
