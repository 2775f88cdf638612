// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/state_dict.h"

#include "format/object_content.h"

namespace weightmap {

struct TensorBytes {
  std::uint32_t storage = format::kNoStorage;  // none: the tensor has no bytes
  std::uint64_t offset_bytes = 0;              // of the first element, in the storage
};

// The memory that tensors lie in, no two parts of it overlapping.
struct SavedBytes {
  std::vector<std::span<const std::byte>> storages;
  std::vector<TensorBytes> tensors;  // by tensor
};

// Tensors whose storages are one or overlap get one storage, which begins where the first of their
// elements lies, or as little before as lets every offset be a multiple of its element.
SavedBytes find_bytes(std::span<const StateTensor> tensors);

}  // namespace weightmap
