// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/export.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "io/target_rule.h"

namespace weightmap::convert {

// check_target for what is made from a weight file, which itself is never replaced.
Result<void> check_export_target(const WeightFile& file,
                                 const std::string& target,
                                 io::TargetRule rule,
                                 const ExportOptions& options);

}  // namespace weightmap::convert
