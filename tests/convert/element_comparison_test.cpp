// SPDX-License-Identifier: Apache-2.0
#include "convert/element_comparison.h"

#include <array>

#include <doctest/doctest.h>

namespace weightmap::convert {
namespace {

double largest_difference(Dtype dtype, std::uint8_t first, std::uint8_t second) {
  ElementComparison comparison(dtype, dtype);
  const std::array elements{std::byte{first}, std::byte{second}};
  comparison.add(std::span(elements).first(1), std::span(elements).last(1));
  return comparison.changes().largest.value_or(0);
}

TEST_SUITE_BEGIN("convert/element_comparison");

// OCP Microscaling Formats 1.0, table 5; PyTorch 2.13 converts none.
TEST_CASE("every float4 is worth what its specification says") {
  const double values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (std::uint8_t bits = 0; bits < 8; ++bits) {
    CAPTURE(bits);
    const auto high = static_cast<std::uint8_t>(bits << 4U);
    CHECK(largest_difference(Dtype::kFloat4E2M1FNx2, bits, 0) == values[bits]);
    CHECK(largest_difference(Dtype::kFloat4E2M1FNx2, high, 0) == values[bits]);
    CHECK(largest_difference(Dtype::kFloat4E2M1FNx2, bits, bits | 8U) == 2 * values[bits]);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::convert
