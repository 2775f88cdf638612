// SPDX-License-Identifier: Apache-2.0
#include "convert/trim.h"

#include <algorithm>
#include <vector>

#include "base/strided.h"

namespace weightmap::convert {
namespace {

// What the tensors of a segment refer to. `begin_bytes` keeps every offset a multiple of what it
// was one of: sizes of elements are powers of two.
struct Use {
  bool is_named = false;
  std::uint64_t begin_bytes = UINT64_MAX;
  std::uint64_t end_bytes = 0;
  std::uint64_t granule_bytes = 1;

  bool has_bytes() const { return end_bytes != 0; }
};

std::vector<Use> find_uses(const Plan& plan) {
  std::vector<Use> uses(plan.segments.size());
  for (const format::TensorContent& tensor : plan.content.tensors) {
    if (tensor.segment == format::kNoSegment) continue;
    Use& use = uses[tensor.segment];
    use.is_named = true;
    // Fits: the tensor lies in its storage.
    const std::uint64_t extent = *checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides);
    if (extent == 0) continue;
    use.begin_bytes = std::min(use.begin_bytes, tensor.offset_bytes);
    use.end_bytes = std::max(use.end_bytes, tensor.offset_bytes + extent);
    // PyTorch wants whole bytes for each row of these, which are more than the elements take.
    if (dtype_info(tensor.dtype).element_bits < 8) {
      use.end_bytes = plan.segments[tensor.segment].size_bytes;
    }
    use.granule_bytes = std::max(use.granule_bytes, addressed_bytes(tensor.dtype));
  }
  return uses;
}

// A tensor without elements may point anywhere in its storage: into what is left of it, then.
std::uint64_t moved_offset(const format::TensorContent& tensor, const Use& use) {
  const std::uint64_t offset = std::clamp(tensor.offset_bytes, use.begin_bytes, use.end_bytes);
  const std::uint64_t moved = offset - use.begin_bytes;
  return moved - moved % addressed_bytes(tensor.dtype);
}

// Keeps the segments that `keeps` says, under new numbers.
template <typename Keeps>
void renumber_segments(Plan& plan, const Keeps& keeps) {
  std::vector<std::uint32_t> numbers(plan.segments.size(), format::kNoSegment);
  std::uint32_t kept = 0;
  for (std::uint32_t segment = 0; segment < plan.segments.size(); ++segment) {
    if (!keeps(segment)) continue;
    plan.segments[kept] = plan.segments[segment];
    plan.content.segment_sizes_bytes[kept] = plan.content.segment_sizes_bytes[segment];
    numbers[segment] = kept++;
  }
  plan.segments.resize(kept);
  plan.content.segment_sizes_bytes.resize(kept);
  for (format::TensorContent& tensor : plan.content.tensors) {
    if (tensor.segment == format::kNoSegment) continue;
    tensor.segment = numbers[tensor.segment];
    if (tensor.segment == format::kNoSegment) tensor.offset_bytes = 0;
  }
}

}  // namespace

std::uint64_t trim_segments(Plan& plan) {
  std::vector<Use> uses = find_uses(plan);
  std::uint64_t left_out = 0;
  for (std::size_t i = 0; i < uses.size(); ++i) {
    Use& use = uses[i];
    SegmentSource& segment = plan.segments[i];
    left_out += segment.size_bytes;
    if (!use.has_bytes()) continue;
    use.begin_bytes -= use.begin_bytes % use.granule_bytes;
    segment.begin_bytes += use.begin_bytes;
    segment.size_bytes = use.end_bytes - use.begin_bytes;
    plan.content.segment_sizes_bytes[i] = segment.size_bytes;
    left_out -= segment.size_bytes;
  }
  for (format::TensorContent& tensor : plan.content.tensors) {
    if (tensor.segment == format::kNoSegment || !uses[tensor.segment].has_bytes()) continue;
    tensor.offset_bytes = moved_offset(tensor, uses[tensor.segment]);
  }
  renumber_segments(plan, [&](std::uint32_t segment) { return uses[segment].has_bytes(); });
  return left_out;
}

void drop_unused_segments(Plan& plan) {
  const std::vector<Use> uses = find_uses(plan);
  renumber_segments(plan, [&](std::uint32_t segment) { return uses[segment].is_named; });
}

}  // namespace weightmap::convert
