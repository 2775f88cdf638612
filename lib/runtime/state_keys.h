// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// How PyTorch makes keys of a state dict from where modules stand.
namespace weightmap {

inline constexpr std::string_view kExtraState = "_extra_state";

// A module's path in the metadata, from the prefix of its keys: cut as PyTorch cuts it, whatever
// the prefix ends in.
inline std::string_view path_of(std::string_view prefix) {
  return prefix.substr(0, prefix.size() - (prefix.empty() ? 0 : 1));
}

}  // namespace weightmap
