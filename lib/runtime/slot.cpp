// SPDX-License-Identifier: Apache-2.0
#include "weightmap/slot.h"

#include "base/strided.h"

namespace weightmap {

std::int64_t Slot::element_count() const {
  return checked_element_count(wanted_.shape).value_or(0);
}

void Slot::point_to(const std::byte* data) {
  own_strides_.assign(wanted_.shape.size(), 1);
  for (std::size_t i = own_strides_.size(); i-- > 1;) {
    own_strides_[i - 1] = own_strides_[i] * wanted_.shape[i];
  }
  take(data, own_strides_);
}

}  // namespace weightmap
