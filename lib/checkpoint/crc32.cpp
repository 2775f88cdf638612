// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/crc32.h"

#include <libdeflate.h>

namespace weightmap::checkpoint {

void Crc32::update(std::span<const std::byte> bytes) {
  value_ = libdeflate_crc32(value_, bytes.data(), bytes.size());
}

}  // namespace weightmap::checkpoint
