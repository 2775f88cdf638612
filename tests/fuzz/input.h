// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

// What fuzz targets share.
namespace weightmap::tests {

// A promise is broken: the process ends, which is what a fuzzer takes for a finding.
[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

// Takes a part away from the front of an input: two bytes say how long it is.
inline std::string_view take_part(std::string_view& input) {
  if (input.size() < 2) return std::exchange(input, {});
  const auto size =
      static_cast<unsigned char>(input[0]) + 256U * static_cast<unsigned char>(input[1]);
  input.remove_prefix(2);
  const std::string_view part = input.substr(0, size);
  input.remove_prefix(part.size());
  return part;
}

}  // namespace weightmap::tests
