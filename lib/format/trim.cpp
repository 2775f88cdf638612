// SPDX-License-Identifier: Apache-2.0
#include "format/trim.h"

#include <algorithm>
#include <vector>

#include "base/strided.h"

namespace weightmap::format {
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

std::vector<Use> find_uses(const Content& content) {
  std::vector<Use> uses(content.segment_sizes_bytes.size());
  for (const TensorContent& tensor : content.tensors) {
    if (tensor.segment == kNoSegment) continue;
    Use& use = uses[tensor.segment];
    use.is_named = true;
    // Fits: the tensor lies in its storage.
    const std::uint64_t extent = *checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides);
    if (extent == 0) continue;
    use.begin_bytes = std::min(use.begin_bytes, tensor.offset_bytes);
    use.end_bytes = std::max(use.end_bytes, tensor.offset_bytes + extent);
    // PyTorch wants whole bytes for each row of these, which are more than the elements take.
    if (dtype_info(tensor.dtype).element_bits < 8) {
      use.end_bytes = content.segment_sizes_bytes[tensor.segment];
    }
    use.granule_bytes = std::max(use.granule_bytes, addressed_bytes(tensor.dtype));
  }
  return uses;
}

// A tensor without elements may point anywhere in its storage: into what is left of it, then.
std::uint64_t moved_offset(const TensorContent& tensor, const Use& use) {
  if (*checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides) > 0) {
    return tensor.offset_bytes - use.begin_bytes;
  }
  const std::uint64_t offset = std::clamp(tensor.offset_bytes, use.begin_bytes, use.end_bytes);
  const std::uint64_t moved = offset - use.begin_bytes;
  return moved - moved % addressed_bytes(tensor.dtype);
}

// Keeps these segments, ascending, under new numbers.
void renumber_segments(Content& content, const std::vector<std::uint32_t>& kept) {
  std::vector<std::uint64_t>& sizes = content.segment_sizes_bytes;
  std::vector<std::uint32_t> numbers(sizes.size(), kNoSegment);
  for (std::uint32_t i = 0; i < kept.size(); ++i) {
    sizes[i] = sizes[kept[i]];
    numbers[kept[i]] = i;
  }
  sizes.resize(kept.size());
  for (TensorContent& tensor : content.tensors) {
    if (tensor.segment == kNoSegment) continue;
    tensor.segment = numbers[tensor.segment];
    if (tensor.segment == kNoSegment) tensor.offset_bytes = 0;
  }
}

}  // namespace

std::vector<KeptSegment> trim_segments(Content& content) {
  std::vector<Use> uses = find_uses(content);
  std::vector<KeptSegment> kept;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < uses.size(); ++i) {
    Use& use = uses[i];
    if (!use.has_bytes()) continue;
    use.begin_bytes -= use.begin_bytes % use.granule_bytes;
    const Range range{.offset_bytes = use.begin_bytes,
                      .size_bytes = use.end_bytes - use.begin_bytes};
    kept.push_back({.segment = i, .range = range});
    numbers.push_back(i);
    content.segment_sizes_bytes[i] = range.size_bytes;
  }
  for (TensorContent& tensor : content.tensors) {
    if (tensor.segment == kNoSegment || !uses[tensor.segment].has_bytes()) continue;
    tensor.offset_bytes = moved_offset(tensor, uses[tensor.segment]);
  }
  renumber_segments(content, numbers);
  return kept;
}

std::vector<std::uint32_t> drop_unused_segments(Content& content) {
  const std::vector<Use> uses = find_uses(content);
  std::vector<std::uint32_t> kept;
  for (std::uint32_t i = 0; i < uses.size(); ++i) {
    if (uses[i].is_named) kept.push_back(i);
  }
  renumber_segments(content, kept);
  return kept;
}

}  // namespace weightmap::format
