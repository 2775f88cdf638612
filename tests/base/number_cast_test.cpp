// SPDX-License-Identifier: Apache-2.0
#include "base/number_cast.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace weightmap {
namespace {

template <typename From, typename To>
To cast(Dtype from, From element, Dtype to) {
  To result{};
  cast_numbers(from, std::as_bytes(std::span(&element, 1)), to,
               std::as_writable_bytes(std::span(&result, 1)));
  return result;
}

float from_half(std::uint16_t bits) {
  return cast<std::uint16_t, float>(Dtype::kFloat16, bits, Dtype::kFloat32);
}
std::uint16_t to_half(float value) {
  return cast<float, std::uint16_t>(Dtype::kFloat32, value, Dtype::kFloat16);
}
std::uint16_t to_bfloat16(float value) {
  return cast<float, std::uint16_t>(Dtype::kFloat32, value, Dtype::kBFloat16);
}

// What the bits of a finite half are worth, by its definition.
double worth_of_half(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10U) & 0x1F;
  const double fraction = static_cast<double>(bits & 0x3FFU) / 1024;
  return exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
}

TEST_SUITE_BEGIN("base/number_cast");

TEST_CASE("every float16 has its value in float32, and comes back") {
  for (unsigned bits = 0; bits < 0x7C00; ++bits) {
    CAPTURE(bits);
    const auto half = static_cast<std::uint16_t>(bits);
    REQUIRE(from_half(half) == worth_of_half(bits));
    REQUIRE(from_half(half | 0x8000U) == -worth_of_half(bits));
    REQUIRE(to_half(from_half(half)) == half);
    REQUIRE(to_half(from_half(half | 0x8000U)) == (half | 0x8000U));
  }
  CHECK(std::signbit(from_half(0x8000)));
}

TEST_CASE("between two of float16 the nearest is taken, and the even one in the middle") {
  for (unsigned lower = 0; lower < 0x7BFF; ++lower) {
    CAPTURE(lower);
    const auto middle = static_cast<float>((worth_of_half(lower) + worth_of_half(lower + 1)) / 2);
    const unsigned even = lower % 2 == 0 ? lower : lower + 1;
    REQUIRE(to_half(middle) == even);
    REQUIRE(to_half(std::nextafter(middle, 0.0F)) == lower);
    REQUIRE(to_half(std::nextafter(middle, INFINITY)) == lower + 1);
  }
}

TEST_CASE("what is too large becomes infinity, from halfway on") {
  CHECK(to_half(65504) == 0x7BFF);
  CHECK(to_half(std::nextafter(65520.0F, 0.0F)) == 0x7BFF);
  CHECK(to_half(65520) == 0x7C00);
  CHECK(to_half(-1e30F) == 0xFC00);
  CHECK(to_half(INFINITY) == 0x7C00);
  CHECK(to_bfloat16(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(cast<double, float>(Dtype::kFloat64, 1e300, Dtype::kFloat32) == INFINITY);
}

TEST_CASE("bfloat16 is the upper half of float32, rounded to the even one") {
  const auto of_bits = [](std::uint32_t bits) { return to_bfloat16(std::bit_cast<float>(bits)); };
  CHECK(of_bits(0x3F800000) == 0x3F80);
  CHECK(of_bits(0x3F808000) == 0x3F80);
  CHECK(of_bits(0x3F808001) == 0x3F81);
  CHECK(of_bits(0x3F818000) == 0x3F82);
  CHECK(of_bits(0x80000001) == 0x8000);
  CHECK(of_bits(0xFF800000) == 0xFF80);
}

TEST_CASE("NaN stays NaN in every pair") {
  const auto is_nan = [](Dtype from, auto element) {
    return std::isnan(cast<decltype(element), double>(from, element, Dtype::kFloat64)) &&
           std::isnan(cast<decltype(element), float>(from, element, Dtype::kFloat32)) &&
           (cast<decltype(element), std::uint16_t>(from, element, Dtype::kFloat16) & 0x7FFFU) >
               0x7C00U &&
           (cast<decltype(element), std::uint16_t>(from, element, Dtype::kBFloat16) & 0x7FFFU) >
               0x7F80U;
  };
  CHECK(is_nan(Dtype::kFloat32, std::bit_cast<float>(0x7F800001U)));
  CHECK(is_nan(Dtype::kFloat32, std::bit_cast<float>(0xFFFFFFFFU)));
  CHECK(is_nan(Dtype::kFloat64, std::numeric_limits<double>::quiet_NaN()));
  CHECK(is_nan(Dtype::kFloat16, std::uint16_t{0x7C01}));
  CHECK(is_nan(Dtype::kBFloat16, std::uint16_t{0xFF81}));
}

TEST_CASE("float64 goes by way of float32, as PyTorch does it") {
  // Just above the middle of two halves: float32 rounds it into the middle, float16 to the even.
  const double above = 1 + 0x1p-11 + 0x1p-40;
  CHECK(cast<double, std::uint16_t>(Dtype::kFloat64, above, Dtype::kFloat16) == 0x3C00);
}

TEST_CASE("every float8 has the value that PyTorch gives it") {
  const auto table =
      nlohmann::json::parse(std::ifstream(WEIGHTMAP_TEST_DATA "/diff/small_floats.json"));
  CHECK(table.size() == 5);
  for (const auto& item : table.items()) {
    const std::string name = item.key();
    const nlohmann::json& values = item.value();
    CAPTURE(name);
    const Dtype dtype = dtype_from_name(name).value();
    for (unsigned bits = 0; bits < 256; ++bits) {
      CAPTURE(bits);
      const auto expected = std::bit_cast<float>(values.at(bits).get<std::uint32_t>());
      const auto value =
          cast<std::uint8_t, float>(dtype, static_cast<std::uint8_t>(bits), Dtype::kFloat32);
      CHECK(std::isnan(value) == std::isnan(expected));
      if (!std::isnan(expected)) {
        CHECK(std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(expected));
      }
    }
  }
}

TEST_CASE("only what has a value is a number") {
  for (const Dtype dtype : {Dtype::kBool, Dtype::kUInt64, Dtype::kBFloat16, Dtype::kFloat8E8M0FNU})
    CHECK(is_number(dtype));
  for (const Dtype dtype :
       {Dtype::kComplex64, Dtype::kQInt8, Dtype::kBits8, Dtype::kInt4, Dtype::kFloat4E2M1FNx2})
    CHECK_FALSE(is_number(dtype));
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
