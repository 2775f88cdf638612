// SPDX-License-Identifier: Apache-2.0
#include "base/little_endian.h"

#include <array>
#include <cstdint>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

constexpr std::array kBytes{std::byte{0x01}, std::byte{0x23}, std::byte{0x45},
                            std::byte{0x67}, std::byte{0x89}, std::byte{0xab},
                            std::byte{0xcd}, std::byte{0xef}, std::byte{0xff}};

TEST_SUITE_BEGIN("base/little_endian");

TEST_CASE("the byte of least weight comes first, at any offset") {
  CHECK(load_little<std::uint8_t>(kBytes, 4) == 0x89);
  CHECK(load_little<std::uint16_t>(kBytes, 0) == 0x2301);
  CHECK(load_little<std::uint32_t>(kBytes, 1) == 0x89674523U);
  CHECK(load_little<std::uint64_t>(kBytes, 0) == 0xefcdab8967452301U);
  CHECK(load_little<std::uint64_t>(kBytes, 1) == 0xffefcdab89674523U);
  CHECK(load_little<std::int8_t>(kBytes, 8) == -1);
  CHECK(load_little<std::int16_t>(kBytes, 7) == -17);
}

TEST_CASE("what is stored stands in the same order, and its neighbours are untouched") {
  std::array<std::byte, 7> bytes{};
  bytes.fill(std::byte{0x55});
  store_little<std::uint32_t>(bytes, 1, 0x01020304U);
  CHECK(bytes == std::array{std::byte{0x55}, std::byte{0x04}, std::byte{0x03}, std::byte{0x02},
                            std::byte{0x01}, std::byte{0x55}, std::byte{0x55}});
  store_little<std::int16_t>(bytes, 5, -2);
  CHECK(bytes[5] == std::byte{0xfe});
  CHECK(bytes[6] == std::byte{0xff});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
