// SPDX-License-Identifier: Apache-2.0
#include "io/private_bytes.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <doctest/doctest.h>

namespace weightmap::io {
namespace {

constexpr std::size_t kMiB = 1U << 20U;

TEST_SUITE_BEGIN("io/private_bytes");

TEST_CASE(
    "memory of any size is aligned and writable to its last byte, and moves with its address") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4097}, 2 * kMiB - 1, 2 * kMiB, 5 * kMiB + 3}) {
    CAPTURE(size);
    PrivateBytes memory(size);
    REQUIRE(memory.bytes().size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 64 == 0);
    std::ranges::fill(memory.bytes(), std::byte{7});
    const std::byte* const address = memory.bytes().data();
    const PrivateBytes moved = std::move(memory);
    CHECK(moved.bytes().data() == address);
    CHECK(std::ranges::count(moved.bytes(), std::byte{7}) == static_cast<std::ptrdiff_t>(size));
  }
}

TEST_CASE("what would fill huge pages begins with one") {
  const PrivateBytes memory(3 * kMiB);
  CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % (2 * kMiB) == 0);
}

TEST_CASE("without a size there is none") {
  CHECK(PrivateBytes().bytes().empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::io
