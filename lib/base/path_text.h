// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// Paths as text; where they lead to is for io to say.
namespace weightmap {

// "model.wmap" of "dir/model.wmap"
inline std::string_view name_in(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

// "dir/" of "dir/model.wmap", "" of "model.wmap": what a name in the same directory is put behind.
inline std::string_view directory_prefix(std::string_view path) {
  return path.substr(0, path.rfind('/') + 1);
}

}  // namespace weightmap
