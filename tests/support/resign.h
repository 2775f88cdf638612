// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "weightmap/digest.h"

#include "base/hash.h"

// Makes the digests of a file right again after its bytes were changed, so that a test reaches the
// rule that it broke. Offsets by FORMAT.md 2.1, not by the library.
namespace weightmap::tests {

template <typename T>
T peek(std::span<const std::byte> bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
void poke(std::span<std::byte> bytes, std::size_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

inline std::span<std::byte> index_part(std::span<std::byte> file) {
  return file.subspan(128, peek<std::uint64_t>(file, 32));
}
inline std::span<std::byte> extras_part(std::span<std::byte> file) {
  return file.subspan(peek<std::uint64_t>(file, 40), peek<std::uint64_t>(file, 48));
}
inline std::span<std::byte> blob_part(std::span<std::byte> file) {
  return file.subspan(peek<std::uint64_t>(file, 56), peek<std::uint64_t>(file, 64));
}

inline void resign_header(std::span<std::byte> file) {
  poke(file, 112, digest_of(file.first(112)).bytes);
}

inline void resign_index(std::span<std::byte> file) {
  poke(file, 96, digest_of(index_part(file)).bytes);
  resign_header(file);
}

// The place in the index of one of the two digests of its root, the last fields of the table.
inline std::size_t digest_place(std::span<const std::byte> index, std::size_t field) {
  const auto table = peek<std::uint32_t>(index, 0);
  const auto vtable = table - static_cast<std::uint32_t>(peek<std::int32_t>(index, table));
  return table + peek<std::uint16_t>(index, vtable + 4 + 2 * field);
}
inline std::size_t structure_digest_place(std::span<const std::byte> index) {
  return digest_place(index, 10);
}
inline std::size_t extras_digest_place(std::span<const std::byte> index) {
  return digest_place(index, 11);
}

inline void resign_extras(std::span<std::byte> file) {
  const auto index = index_part(file);
  poke(index, extras_digest_place(index), digest_of(extras_part(file)).bytes);
  resign_index(file);
}

}  // namespace weightmap::tests
