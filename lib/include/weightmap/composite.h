// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace weightmap {

// What a key that stands for several tensors is (FORMAT.md 3, `composites`). The numbers are stored
// in weight files.
enum class CompositeKind : std::uint8_t {
  kQuantizedPerTensor = 0,
  kQuantizedPerChannel = 1,
  kQuantizedPerChannelFloat = 2,
  kSparseCoo = 3,
  kSparseCsr = 4,
  kSparseCsc = 5,
  kSparseBsr = 6,
  kSparseBsc = 7,
  kNested = 8,
  kWrapperSubclass = 9,
};
inline constexpr int kCompositeKindCount = 10;

std::string_view composite_kind_name(CompositeKind kind);  // "quantized_per_tensor"

}  // namespace weightmap
