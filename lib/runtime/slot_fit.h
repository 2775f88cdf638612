// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "weightmap/composite_view.h"
#include "weightmap/load_report.h"
#include "weightmap/slot.h"
#include "weightmap/tensor_view.h"

// Whether what stands under a key can go into a slot, in words: PyTorch's where it has some.
namespace weightmap {

enum class LoadMode : std::uint8_t { kBind, kLoad };

// Nothing: it fits.
std::optional<Mismatch> find_mismatch(const Slot& slot,
                                      const TensorView& tensor,
                                      std::string_view key,
                                      LoadMode mode);

Mismatch composite_mismatch(const Slot& slot, const CompositeView& composite, std::string_view key);

// What stands there is no tensor, but an object of that Python class.
Mismatch class_mismatch(std::string_view key, std::string_view class_name);

// The slot has `twin`'s tensor already, and this one is another.
Mismatch tie_mismatch(std::string_view key, std::string_view twin);

}  // namespace weightmap
