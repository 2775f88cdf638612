// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/convert.h"
#include "weightmap/diagnosis.h"

#include "output.h"

namespace weightmap::tool {

struct KeyDiffArguments {
  std::string file;     // what would be loaded
  std::string against;  // what is wanted
  CheckpointOptions file_options;
  CheckpointOptions against_options;
  DiagnosisOptions options;
  Style style = Style::kText;
};

// diff --keys: whether the keys fit, and why not. Returns the exit code.
int diff_keys(const KeyDiffArguments& arguments);

}  // namespace weightmap::tool
