// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace weightmap::bench {

// A file of table.fbs: the size of the index in 8 bytes, zeros up to here, the index, the data.
inline constexpr std::size_t kTableAt = 64;

}  // namespace weightmap::bench
