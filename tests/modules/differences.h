// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "weightmap/load_report.h"

#include "modules/tree.h"

// Where weightmap differs from PyTorch on purpose; README.md has the reasons.
namespace weightmap::tests {

// One load of a case, after it.
struct Replayed {
  const Json& described;  // the case
  const Json& pytorch;    // what PyTorch made of it
  const Json& ours;       // what is stated for us, and has been found
  const Recorded& recorded;
  const Tree& tree;
  const StateDict& state_dict;
  const LoadReport& report;
};

// How often each was asserted.
using DifferenceCounts = std::map<std::string, int>;

// Whether all that PyTorch's record shows is what we state of it.
bool differ_as_stated(const Replayed& replayed, DifferenceCounts& counts);

}  // namespace weightmap::tests
