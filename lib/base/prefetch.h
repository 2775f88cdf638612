// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

// Asking for memory some time before it is looked at.
namespace weightmap {

// Its first and its last byte: all of it up to 65 bytes. REQUIRES: not 0 bytes.
inline void prefetch_bytes(const void* begin, std::size_t size) {
  __builtin_prefetch(begin);
  __builtin_prefetch(static_cast<const std::byte*>(begin) + size - 1);
}

// The first two cache lines of it.
template <typename T>
void prefetch_object(const T& object) {
  constexpr std::size_t kLine = 64;
  prefetch_bytes(&object, sizeof object < kLine ? sizeof object : kLine + 1);
}

inline void prefetch_text(std::string_view text) {
  if (text.empty()) return;
  prefetch_bytes(text.data(), text.size());
}

}  // namespace weightmap
