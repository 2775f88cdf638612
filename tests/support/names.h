// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace weightmap::tests {

// The names of what Module::named_parameters and its like give, in their order.
template <typename Named>
std::vector<std::string> names(const std::vector<Named>& all) {
  std::vector<std::string> found;
  for (const Named& one : all)
    found.push_back(one.name);
  return found;
}

}  // namespace weightmap::tests
