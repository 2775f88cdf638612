// SPDX-License-Identifier: Apache-2.0
#include "weightmap/error.h"

#include <doctest/doctest.h>

namespace weightmap {
namespace {

TEST_SUITE_BEGIN("base/error");

TEST_CASE("every code has its name") {
  struct Row {
    ErrorCode code;
    std::string_view name;
  };
  const Row rows[] = {
      {ErrorCode::kInvalidArgument, "invalid_argument"},
      {ErrorCode::kNotFound, "not_found"},
      {ErrorCode::kIo, "io"},
      {ErrorCode::kExists, "exists"},
      {ErrorCode::kWrongKind, "wrong_kind"},
      {ErrorCode::kCorrupt, "corrupt"},
      {ErrorCode::kUnsupported, "unsupported"},
      {ErrorCode::kUnsafe, "unsafe"},
      {ErrorCode::kMismatch, "mismatch"},
      {ErrorCode::kCancelled, "cancelled"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(error_code_name(row.code) == row.name);
  }
}

TEST_CASE("a number that is no code has a name that is none of theirs") {
  CHECK(error_code_name(static_cast<ErrorCode>(99)) == "unknown");
}

TEST_CASE("context goes before the message and leaves the failure as it was") {
  const Error inner(ErrorCode::kCorrupt, "segment 3 ends at 12, expected 8");
  const Error outer = inner.with_context("index").with_context("model.wmap");
  CHECK(outer.code() == ErrorCode::kCorrupt);
  CHECK(outer.message() == "model.wmap: index: segment 3 ends at 12, expected 8");
  CHECK(inner.message() == "segment 3 ends at 12, expected 8");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
