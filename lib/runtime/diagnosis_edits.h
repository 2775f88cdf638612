// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diagnosis.h"

// What turns one name into another, in whole components, and as a rule of the converter.
namespace weightmap {

// `from` becomes `to`, both dotted, perhaps with `*` for numbers that stay; either may be empty.
struct NameEdit {
  std::string from;
  std::string to;
  bool at_start = false;  // of the name; else after some component
  bool at_end = false;

  friend bool operator==(const NameEdit&, const NameEdit&) = default;
};

struct NameEdits {
  std::vector<NameEdit> whole;  // one that does all, or two ways to say the same
  std::vector<NameEdit> split;  // one for each stretch between numbers that stay; else as whole
};

// Nothing when the names are equal, or when a rule cannot say it (a `*` or `=` in a name).
std::optional<NameEdits> edits_between(std::string_view from, std::string_view to);

// With a `*` for each number: "layers.*.attn".
std::string with_stars(std::string_view text);

RenameRule rule_of(const NameEdit& edit);

// Whether it only takes modules away from the path to a slot or only adds some.
bool is_pure(const NameEdit& edit);

// The cause that it stands for, without a number of keys.
DiagnosisCause cause_of(const NameEdit& edit);

}  // namespace weightmap
