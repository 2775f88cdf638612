// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "weightmap/dtype.h"

namespace weightmap::checkpoint {

// The element type of one of PyTorch's storage classes by its name alone ("FloatStorage"), as
// torch.load finds it; nothing: no such class. A storage without a type counts bytes: kUInt8.
std::optional<Dtype> dtype_of_storage_class(std::string_view name);

}  // namespace weightmap::checkpoint
