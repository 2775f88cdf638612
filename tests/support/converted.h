// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

#include "support/reported.h"

namespace weightmap::tests {

// Converts, and opens what that made, which must be what the report says and without damage.
inline WeightFile converted(const std::string& source,
                            const std::string& target,
                            const ConvertOptions& options = {}) {
  return open_reported(target, convert_checkpoint(source, target, options));
}

// The same, for its report.
inline ConvertReport convert_well(const std::string& source,
                                  const std::string& target,
                                  const ConvertOptions& options) {
  const auto report = convert_checkpoint(source, target, options);
  open_reported(target, report);
  return *report;
}

}  // namespace weightmap::tests
