// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace weightmap::tests {

struct OneByteChanges {
  std::size_t read = 0;
  std::size_t refused = 0;
  std::string broken;  // what promise the first checkpoint to break one broke, and where
};

// Opens a checkpoint once for each byte and each of some values in its place, those that break
// most: ends of ranges, one bit more or less, the next one. Of padding only every 64th byte.
OneByteChanges open_with_each_byte_changed(const std::string& good);

}  // namespace weightmap::tests
