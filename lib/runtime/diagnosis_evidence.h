// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_renaming.h"

// A rename that makes shapes fit may still put one tensor where another belongs. It is believed
// only where nothing else could stand there, or where the names themselves speak for it and less
// for everything else.
namespace weightmap {

// An edit that is not believed, and what could stand in its place as well.
struct Doubt {
  NameEdit edit;
  std::string rival;            // beside edit.from or beside edit.to
  bool is_found_rival = false;  // beside edit.from
};

struct Evidence {
  std::vector<bool> believed;  // by edit
  std::vector<Doubt> doubts;   // of the others, where a rival can be named
};

// REQUIRES: the trial is of these edits, in their order.
Evidence weigh(const Renaming& renaming,
               const std::vector<NameEdit>& edits,
               const Renaming::Trial& trial);

}  // namespace weightmap
