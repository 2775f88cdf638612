// SPDX-License-Identifier: Apache-2.0
#include "convert/cast.h"

#include <vector>

#include "base/number_cast.h"
#include "base/strided.h"
#include "base/text.h"

namespace weightmap::convert {
namespace {

using format::TensorContent;

bool is_castable(const TensorContent& tensor) {
  return is_ieee_float(tensor.dtype) && (tensor.flags & format::kPart) == 0;
}

// The first tensor of each segment; the others must go with it.
Result<std::vector<const TensorContent*>> find_leaders(const Plan& plan, Dtype to) {
  std::vector<const TensorContent*> leaders(plan.segments.size());
  for (const TensorContent& tensor : plan.content.tensors) {
    if (tensor.segment == format::kNoSegment) continue;
    const TensorContent*& leader = leaders[tensor.segment];
    if (leader == nullptr) leader = &tensor;
    if (leader->dtype == tensor.dtype && is_castable(*leader) == is_castable(tensor)) continue;
    const bool changes = (is_castable(*leader) && leader->dtype != to) ||
                         (is_castable(tensor) && tensor.dtype != to);
    if (!changes) continue;
    return Error(ErrorCode::kUnsupported,
                 concat("tensors ", quoted(leader->name), " (", dtype_name(leader->dtype), ") and ",
                        quoted(tensor.name), " (", dtype_name(tensor.dtype),
                        ") share bytes: neither can be cast to ", dtype_name(to), " alone"));
  }
  return leaders;
}

void cast_segment(Plan& plan, std::size_t number, Dtype from, Dtype to) {
  SegmentSource& segment = plan.segments[number];
  const std::uint64_t elements = segment.size_bytes / addressed_bytes(from);
  segment.size_bytes = elements * addressed_bytes(from);
  segment.cast = Cast{.from = from, .to = to};
  plan.content.segment_sizes_bytes[number] = elements * addressed_bytes(to);
}

}  // namespace

Result<std::uint32_t> cast_floats(Plan& plan, Dtype to) {
  if (!is_ieee_float(to)) {
    return Error(ErrorCode::kInvalidArgument,
                 concat("tensors can be cast to float16, bfloat16, float32 and float64, not to ",
                        dtype_name(to)));
  }
  const auto leaders = find_leaders(plan, to);
  if (!leaders) return leaders.error();
  for (std::size_t i = 0; i < leaders->size(); ++i) {
    const TensorContent* leader = (*leaders)[i];
    if (leader == nullptr || !is_castable(*leader) || leader->dtype == to) continue;
    cast_segment(plan, i, leader->dtype, to);
  }
  std::uint32_t changed = 0;
  for (TensorContent& tensor : plan.content.tensors) {
    if (!is_castable(tensor) || tensor.dtype == to) continue;
    tensor.offset_bytes = tensor.offset_bytes / addressed_bytes(tensor.dtype) * addressed_bytes(to);
    tensor.dtype = to;
    ++changed;
  }
  return changed;
}

}  // namespace weightmap::convert
