// SPDX-License-Identifier: Apache-2.0
#include "base/small_float.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace weightmap {
namespace {

TEST_SUITE_BEGIN("base/small_float");

TEST_CASE("every float8 has the value that PyTorch gives it") {
  const auto table =
      nlohmann::json::parse(std::ifstream(WEIGHTMAP_TEST_DATA "/diff/small_floats.json"));
  CHECK(table.size() == 5);
  for (const auto& item : table.items()) {
    const std::string name = item.key();
    const nlohmann::json& values = item.value();
    CAPTURE(name);
    const Dtype dtype = dtype_from_name(name).value();
    CHECK(is_small_float(dtype));
    for (unsigned bits = 0; bits < 256; ++bits) {
      CAPTURE(bits);
      const auto expected = std::bit_cast<float>(values.at(bits).get<std::uint32_t>());
      const float value = small_float_value(dtype, static_cast<std::uint8_t>(bits));
      CHECK(std::isnan(value) == std::isnan(expected));
      if (!std::isnan(expected)) {
        CHECK(std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(expected));
      }
    }
  }
}

// OCP Microscaling Formats 1.0, table 5; PyTorch 2.13 converts none.
TEST_CASE("every float4 has the value of its specification") {
  const float values[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  for (std::uint8_t bits = 0; bits < 8; ++bits) {
    CHECK(small_float_value(Dtype::kFloat4E2M1FNx2, bits) == values[bits]);
    CHECK(small_float_value(Dtype::kFloat4E2M1FNx2, bits | 8U) == -values[bits]);
  }
}

TEST_CASE("other dtypes are no small floats") {
  for (const Dtype dtype : {Dtype::kFloat16, Dtype::kUInt8, Dtype::kBits8, Dtype::kComplex32}) {
    CHECK_FALSE(is_small_float(dtype));
  }
}

}  // namespace
}  // namespace weightmap
