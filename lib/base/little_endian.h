// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>

namespace weightmap {

static_assert(std::endian::native == std::endian::little,
              "weight files are mapped as they are: the machine must be little-endian");

// REQUIRES: the bytes lie inside the span.
template <std::integral T>
T load_little(std::span<const std::byte> bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <std::integral T>
void store_little(std::span<std::byte> bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace weightmap
