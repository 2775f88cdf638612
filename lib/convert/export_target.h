// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "weightmap/export.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "convert/segment_stream.h"
#include "io/file_writer.h"
#include "io/target_rule.h"
#include "runtime/target_file.h"

namespace weightmap::convert {

// check_target for what is made from a weight file, which itself is never replaced.
Result<void> check_export_target(const WeightFile& file,
                                 const std::string& target,
                                 io::TargetRule rule,
                                 const ExportOptions& options);

// A target on its way, and what fills it needs.
struct ExportedFile {
  io::FileWriter& writer;
  const SegmentDigests& digests;  // of the weight file
  ProgressTeller& progress;
};

struct ExportedBytes {
  std::uint64_t file = 0;
  std::uint64_t data = 0;  // of tensors: what progress counts
};

// Tells progress for the first time, begins the target, has it filled and gives it its name.
// Whether all that was read was held against digests. Errors: those of the digests, of the file, of
// `fill`; kCancelled.
Result<bool> write_export(const WeightFile& file,
                          const std::string& target,
                          const ExportOptions& options,
                          ExportedBytes sizes,
                          const std::function<Result<void>(const ExportedFile&)>& fill);

}  // namespace weightmap::convert
