// SPDX-License-Identifier: Apache-2.0
#include "base/pattern.h"

#include <cstddef>

namespace weightmap {
namespace {

// The last `*` that was met: when what follows it does not match, it takes one character more.
struct Star {
  std::size_t after_in_pattern;
  std::size_t end_in_name;
};

}  // namespace

std::optional<std::vector<std::string_view>> match(std::string_view pattern,
                                                   std::string_view name) {
  std::vector<std::string_view> parts;
  std::optional<Star> star;
  std::size_t at = 0;
  std::size_t in_name = 0;
  while (in_name < name.size() || at < pattern.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      parts.push_back(name.substr(in_name, 0));
      star = Star{++at, in_name};
    } else if (in_name < name.size() && at < pattern.size() &&
               (pattern[at] == '?' || pattern[at] == name[in_name])) {
      ++at;
      ++in_name;
    } else if (star && star->end_in_name < name.size()) {
      std::string_view& part = parts.back();
      part = {part.data(), part.size() + 1};
      at = star->after_in_pattern;
      in_name = ++star->end_in_name;
    } else {
      return std::nullopt;
    }
  }
  return parts;
}

std::string substitute(std::string_view replacement, const std::vector<std::string_view>& parts) {
  std::string text;
  auto part = parts.begin();
  for (const char character : replacement) {
    if (character == '*') {
      text += *part++;
    } else {
      text += character;
    }
  }
  return text;
}

}  // namespace weightmap
