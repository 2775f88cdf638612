// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_renaming.h"

// Guesses which unexpected key is which missing one, from names and shapes, and what that would
// say of all of them. Guesses may be wrong: whoever uses them tries them.
namespace weightmap {

struct VotedEdit {
  NameEdit edit;
  std::size_t votes = 0;
};

struct EditVotes {
  std::vector<VotedEdit> whole;  // most votes first; of equals the first that was met
  std::vector<VotedEdit> split;  // edits between numbers that stay
};

// Looks at some of the unexpected keys, spread over all, and at every missing one.
EditVotes vote_edits(const Renaming& renaming);

// At most `most` numbers of a list, spread over all of it.
std::vector<std::uint32_t> spread(const std::vector<std::uint32_t>& numbers, std::size_t most);

}  // namespace weightmap
