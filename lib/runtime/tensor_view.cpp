// SPDX-License-Identifier: Apache-2.0
#include "weightmap/tensor_view.h"

#include "base/strided.h"
#include "base/text.h"
#include "format/index_view.h"

namespace weightmap {

std::int64_t TensorView::element_count() const {
  // Of a tensor of a file it is less than 2^63 (R17).
  return checked_element_count(parts_.shape).value_or(0);
}

std::span<const std::byte> TensorView::extent() const {
  if (parts_.data == nullptr) return {};
  // Of a tensor of a file it lies inside its segment (R18).
  const auto bytes = checked_extent_bytes(parts_.dtype, parts_.shape, parts_.strides);
  return {parts_.data, bytes.value_or(0)};
}

bool TensorView::is_contiguous() const {
  return weightmap::is_contiguous(parts_.shape, parts_.strides);
}

bool TensorView::is_parameter() const {
  return (parts_.flags & format::kParameter) != 0;
}
bool TensorView::is_buffer() const {
  return (parts_.flags & format::kBuffer) != 0;
}
bool TensorView::requires_grad() const {
  return (parts_.flags & format::kRequiresGrad) != 0;
}
bool TensorView::is_conj() const {
  return (parts_.flags & format::kConj) != 0;
}
bool TensorView::is_neg() const {
  return (parts_.flags & format::kNeg) != 0;
}
bool TensorView::is_meta() const {
  return (parts_.flags & format::kMeta) != 0;
}
bool TensorView::is_uninitialized() const {
  return (parts_.flags & format::kUninitialized) != 0;
}
bool TensorView::is_part() const {
  return (parts_.flags & format::kPart) != 0;
}

Result<void> TensorView::check_values(Dtype wanted, std::size_t alignment_bytes) const {
  const auto misfit = [this](const auto&... pieces) {
    return Error(ErrorCode::kMismatch, concat("tensor ", quoted(name()), ": ", pieces...));
  };
  if (wanted != dtype()) {
    return misfit("its dtype is ", dtype_name(dtype()), ", asked for ", dtype_name(wanted));
  }
  if (has_no_values()) return misfit("it has no values");
  if (is_absent()) return misfit("it lies in a data file that is not open");
  if (is_conj() || is_neg()) return misfit("its values are stored conjugated or negated");
  if (!is_contiguous()) {
    return misfit("its elements are not contiguous, strides ", list_text(strides()), " for shape ",
                  list_text(shape()));
  }
  if (reinterpret_cast<std::uintptr_t>(data()) % alignment_bytes != 0) {
    return misfit("its bytes do not lie at a multiple of ", alignment_bytes);
  }
  return {};
}

}  // namespace weightmap
