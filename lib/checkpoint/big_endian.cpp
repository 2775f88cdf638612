// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/big_endian.h"

#include <algorithm>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

std::uint8_t unit_bytes(Dtype dtype) {
  const DtypeInfo& info = dtype_info(dtype);
  const unsigned bytes = info.element_bits / 8;
  return static_cast<std::uint8_t>(std::max(1U, info.is_complex ? bytes / 2 : bytes));
}

}  // namespace

Result<void> swap_storages(Checkpoint& checkpoint) {
  constexpr std::uint8_t kUnseen = 0;
  std::vector<std::uint8_t> units(checkpoint.storages.size(), kUnseen);
  for (const Tensor& tensor : checkpoint.tensors) {
    if (tensor.storage == kNoStorage || std::ranges::count(checkpoint.shape(tensor), 0) > 0) {
      continue;
    }
    std::uint8_t& unit = units[tensor.storage];
    const std::uint8_t own = unit_bytes(tensor.dtype);
    if (unit != kUnseen && unit != own) {
      return Error(ErrorCode::kUnsupported,
                   concat("storage ", quoted(checkpoint.storages[tensor.storage].key),
                          " is big-endian, and tensors see elements of ", unit, " and of ", own,
                          " bytes in it"));
    }
    unit = own;
  }
  for (std::size_t i = 0; i < units.size(); ++i)
    checkpoint.storages[i].swapped_bytes = std::max<std::uint8_t>(1, units[i]);
  return {};
}

}  // namespace weightmap::checkpoint
