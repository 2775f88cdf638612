// SPDX-License-Identifier: Apache-2.0
#include "base/element_walk.h"

#include <algorithm>
#include <cassert>

namespace weightmap {

ElementWalk::ElementWalk(const std::vector<Dimension>& dimensions, std::size_t element_bytes) {
  for (const Dimension& dimension : dimensions) {
    if (dimension.size == 1) continue;
    const auto reach = static_cast<std::ptrdiff_t>(dimension.size) * dimension.step_bytes;
    if (!dimensions_.empty() && dimensions_.back().step_bytes == reach) {
      dimensions_.back().size *= dimension.size;
      dimensions_.back().step_bytes = dimension.step_bytes;
    } else {
      dimensions_.push_back(dimension);
    }
  }
  const auto element = static_cast<std::ptrdiff_t>(element_bytes);
  if (dimensions_.empty()) dimensions_.push_back({1, element});
  index_.resize(dimensions_.size());
  is_straight_ = step_bytes() == element;
}

std::size_t ElementWalk::straight_count() const {
  return is_straight_ ? dimensions_.back().size - index_.back() : 0;
}

ElementWalk::Run ElementWalk::next(std::size_t most) {
  assert(most > 0 && index_.back() < dimensions_.back().size);
  const std::size_t count = std::min(most, dimensions_.back().size - index_.back());
  const Run run{offset_bytes_, count};
  index_.back() += count;
  offset_bytes_ += static_cast<std::ptrdiff_t>(count) * step_bytes();
  if (index_.back() == dimensions_.back().size) carry();
  return run;
}

void ElementWalk::carry() {
  for (std::size_t i = index_.size() - 1; i > 0 && index_[i] == dimensions_[i].size; --i) {
    offset_bytes_ -= static_cast<std::ptrdiff_t>(index_[i]) * dimensions_[i].step_bytes;
    index_[i] = 0;
    ++index_[i - 1];
    offset_bytes_ += dimensions_[i - 1].step_bytes;
  }
}

}  // namespace weightmap
