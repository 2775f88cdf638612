// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "weightmap/error.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

namespace weightmap::tests {

// Opens what was written, which must be what the report says and without damage. `Report` is that
// of a conversion or of a save.
template <typename Report>
WeightFile open_reported(const std::string& path, const Result<Report>& report) {
  INFO((report ? "" : report.error().message()));
  REQUIRE(report);
  auto file = WeightFile::open(path);
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
  CHECK(verified->bytes_checked == report->data_bytes);
  return *file;
}

// The error has this code and these words somewhere.
template <typename Value>
void expect_refusal(const Result<Value>& refused, ErrorCode code, std::string_view text) {
  REQUIRE_FALSE(refused);
  CAPTURE(refused.error().message());
  CHECK(refused.error().code() == code);
  CHECK(refused.error().message().find(text) != std::string::npos);
}

}  // namespace weightmap::tests
