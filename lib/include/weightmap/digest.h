// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace weightmap {

// An XXH3-128 digest in its canonical (big-endian) byte order, as `xxhsum -H2` prints it.
// It finds damage; it does not authenticate: whoever can write a file can forge it.
struct Digest {
  std::array<std::byte, 16> bytes{};

  friend bool operator==(const Digest&, const Digest&) = default;
  std::string hex() const;  // 32 lower-case digits
};

}  // namespace weightmap
