// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "io/file_writer.h"

namespace weightmap::tests {

inline io::FileWriter writer_of(const std::string& target, std::uint64_t size, bool sync = false) {
  auto writer = io::FileWriter::create(target, {.size_bytes = size, .sync = sync});
  REQUIRE_MESSAGE(writer.has_value(), writer.error().message());
  return std::move(*writer);
}

inline void check_done(const Result<void>& done) {
  REQUIRE_MESSAGE(done.has_value(), done.error().message());
}

}  // namespace weightmap::tests
