// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "weightmap/diagnosis.h"

#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_renaming.h"

// Which renames mend most.
namespace weightmap {

// A list of rules that may mend something, each with the cause that it would be.
struct RenameCandidate {
  std::vector<RenameRule> rules;
  std::vector<DiagnosisCause> causes;  // by rule
  std::vector<NameEdit> edits;         // by rule, unless the candidate is evident
  bool is_pure = false;                // only takes components away or only adds some
  bool is_whole = false;               // too many things at once to believe it if it mends a part
  bool is_preferred = false;           // to one that mends as much with fewer rules
  bool is_evident = false;             // as a whole: which key is which follows from all its rules
  bool is_by_order = false;            // has to leave nothing over
};

// Renames the found keys as long as something is gained by it, and tells the rules and why.
struct FoundRenames {
  std::vector<RenameRule> rules;
  std::vector<DiagnosisCause> causes;  // of the rules
  std::vector<DiagnosisCause> doubts;  // renames that may be meant, or may not
};
FoundRenames search_renames(Renaming& renaming);

// Components that no missing key has, wherever they stand in unexpected ones: wrappers of modules.
std::optional<RenameCandidate> wrapper_candidate(const Renaming& renaming);

// Modules that are counted from another number on, or with other numbers left out. Numbers stand
// for each other all by the same distance, or by their order.
std::vector<RenameCandidate> number_candidates(const Renaming& renaming);

}  // namespace weightmap
