// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// The lists, sets and dicts of a pickle while it is decoded. They grow after they are made, and in
// turns: what is added is noted in order, and sorted into place once at the end.
class GrowingLists {
 public:
  std::uint32_t make() { return count_++; }

  // REQUIRES: a list that was made.
  void add(std::uint32_t list, std::span<const ValueId> items);

  // Appends all lists to `items`, each in one piece; returns their places.
  std::vector<PickleRange> place(std::vector<ValueId>& items) const;

 private:
  struct Growth {
    std::uint32_t list;
    std::uint32_t count;
  };

  std::uint32_t count_ = 0;
  std::vector<Growth> growths_;
  std::vector<ValueId> added_;  // the items of all growths, in order
};

}  // namespace weightmap::checkpoint
