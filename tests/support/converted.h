// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "weightmap/convert.h"
#include "weightmap/weight_file.h"

namespace weightmap::tests {

// Converts, and opens what that made, which must be what the report says and without damage.
inline WeightFile converted(const std::string& source,
                            const std::string& target,
                            const ConvertOptions& options = {}) {
  const auto report = convert_checkpoint(source, target, options);
  INFO((report ? "" : report.error().message()));
  REQUIRE(report);
  auto file = WeightFile::open(target);
  INFO((file ? "" : file.error().message()));
  REQUIRE(file);
  CHECK(file->digest() == report->digest);
  CHECK(file->tensor_count() == report->tensor_count);
  CHECK(file->segment_count() == report->segment_count);
  CHECK(file->size_bytes() == report->file_bytes);
  const auto verified = file->verify();
  REQUIRE(verified);
  CHECK(verified->ok());
  CHECK(verified->segments_without_digest == 0);
  return *file;
}

}  // namespace weightmap::tests
