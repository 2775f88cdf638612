// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

// Asking for memory some time before it is looked at: slots, modules and names lie anywhere.
namespace weightmap {

// REQUIRES: at most two cache lines, 128 bytes, are of interest.
template <typename T>
void prefetch_object(const T& object) {
  constexpr std::size_t kLine = 64;
  const auto* const first = reinterpret_cast<const std::byte*>(&object);
  __builtin_prefetch(first);
  __builtin_prefetch(first + (sizeof object < kLine ? sizeof object - 1 : kLine));
}

inline void prefetch_text(std::string_view text) {
  if (text.empty()) return;
  __builtin_prefetch(text.data());
  __builtin_prefetch(text.data() + text.size() - 1);
}

}  // namespace weightmap
