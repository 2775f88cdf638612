// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/growing_lists.h"

#include <algorithm>
#include <utility>

namespace weightmap::checkpoint {

void GrowingLists::add(std::uint32_t list, std::span<const ValueId> items) {
  growths_.push_back({list, static_cast<std::uint32_t>(items.size())});
  added_.insert(added_.end(), items.begin(), items.end());
}

std::vector<PickleRange> GrowingLists::place(std::vector<ValueId>& items) const {
  std::vector<PickleRange> places(count_);
  for (const Growth& growth : growths_)
    places[growth.list].size += growth.count;
  auto end = static_cast<std::uint32_t>(items.size());
  for (PickleRange& list : places) {
    list.begin = end;
    end += std::exchange(list.size, 0);
  }
  items.resize(end);
  auto from = added_.begin();
  for (const Growth& growth : growths_) {
    PickleRange& list = places[growth.list];
    std::copy_n(from, growth.count, items.begin() + list.begin + list.size);
    list.size += growth.count;
    from += growth.count;
  }
  return places;
}

}  // namespace weightmap::checkpoint
