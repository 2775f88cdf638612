// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace weightmap {

// A new name for the tensors that a pattern covers: the first `*` of the replacement stands for
// what the first `*` of the pattern stands for, and so on. In patterns, `*` stands for any
// characters, dots included, and `?` for one.
struct RenameRule {
  std::string pattern;      // "module.*"
  std::string replacement;  // "*"

  friend bool operator==(const RenameRule&, const RenameRule&) = default;
};

}  // namespace weightmap
