// SPDX-License-Identifier: Apache-2.0
#include "weightmap/composite_view.h"

#include <algorithm>

#include "format/index_view.h"

namespace weightmap {

bool CompositeView::is_parameter() const {
  return (facts_.flags & format::kParameter) != 0;
}
bool CompositeView::is_buffer() const {
  return (facts_.flags & format::kBuffer) != 0;
}
bool CompositeView::requires_grad() const {
  return (facts_.flags & format::kRequiresGrad) != 0;
}

std::optional<TensorView> CompositeView::part(std::string_view role) const {
  const auto found = std::ranges::find(facts_.parts, role, &CompositePart::role);
  if (found == facts_.parts.end()) return std::nullopt;
  return found->tensor;
}

}  // namespace weightmap
