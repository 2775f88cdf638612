// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Patterns over dotted names, as the shell has them: `*` stands for any characters, dots included,
// `?` for one character. Anything else stands for itself.
namespace weightmap {

// What each `*` of the pattern stands for when it covers the whole name, each as short as can be;
// nothing when it does not cover it. Time: length of the pattern times that of the name.
std::optional<std::vector<std::string_view>> match(std::string_view pattern, std::string_view name);

// The replacement with its first `*` replaced by the first of `parts` and so on.
// REQUIRES: no more `*` than parts.
std::string substitute(std::string_view replacement, const std::vector<std::string_view>& parts);

}  // namespace weightmap
