// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"

#include <cstdint>
#include <limits>
#include <optional>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kMaxSigned = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMinSigned = std::numeric_limits<std::int64_t>::min();

TEST_SUITE_BEGIN("base/checked");

TEST_CASE("a sum is exact or nothing") {
  struct Row {
    std::uint64_t a, b;
    std::optional<std::uint64_t> sum;
  };
  const Row rows[] = {
      {0, 0, 0},
      {2, 3, 5},
      {kMax, 0, kMax},
      {kMax - 1, 1, kMax},
      {kMax, 1, std::nullopt},
      {kMax, kMax, std::nullopt},
      {std::uint64_t{1} << 63U, std::uint64_t{1} << 63U, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK(checked_add(row.a, row.b) == row.sum);
    CHECK(checked_add(row.b, row.a) == row.sum);
  }
}

TEST_CASE("a product is exact or nothing") {
  struct Row {
    std::uint64_t a, b;
    std::optional<std::uint64_t> product;
  };
  const std::uint64_t root = std::uint64_t{1} << 32U;
  const Row rows[] = {
      {0, kMax, 0},
      {1, kMax, kMax},
      {7, 6, 42},
      {root - 1, root + 1, kMax},
      {root, root, std::nullopt},
      {kMax, 2, std::nullopt},
      {kMax / 3 + 1, 3, std::nullopt},
      {kMax / 3, 3, kMax},
  };
  for (const Row& row : rows) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK(checked_mul(row.a, row.b) == row.product);
    CHECK(checked_mul(row.b, row.a) == row.product);
  }
}

TEST_CASE("signed and narrow numbers have their own limits") {
  CHECK(checked_add(kMaxSigned, std::int64_t{1}) == std::nullopt);
  CHECK(checked_add(kMinSigned, std::int64_t{-1}) == std::nullopt);
  CHECK(checked_add(kMinSigned, kMaxSigned) == -1);
  CHECK(checked_mul(kMinSigned, std::int64_t{-1}) == std::nullopt);
  CHECK(checked_mul(kMinSigned, std::int64_t{1}) == kMinSigned);
  CHECK(checked_mul(std::int64_t{1} << 32, std::int64_t{1} << 31) == std::nullopt);
  CHECK(checked_add(std::uint8_t{200}, std::uint8_t{55}) == 255);
  CHECK(checked_add(std::uint8_t{200}, std::uint8_t{56}) == std::nullopt);
  CHECK(checked_mul(std::uint32_t{65'536}, std::uint32_t{65'536}) == std::nullopt);
}

TEST_CASE("aligning up reaches the next multiple or nothing") {
  struct Row {
    std::uint64_t value, alignment;
    std::optional<std::uint64_t> aligned;
  };
  const Row rows[] = {
      {0, 64, 0},
      {1, 64, 64},
      {63, 64, 64},
      {64, 64, 64},
      {65, 64, 128},
      {5, 1, 5},
      {kMax, 1, kMax},
      {4'097, 2U << 20U, 2U << 20U},
      {kMax - 63, 64, kMax - 63},
      {kMax - 62, 64, std::nullopt},
      {kMax, 64, std::nullopt},
      {1, std::uint64_t{1} << 63U, std::uint64_t{1} << 63U},
      {(std::uint64_t{1} << 63U) + 1, std::uint64_t{1} << 63U, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CAPTURE(row.alignment);
    CHECK(checked_align_up(row.value, row.alignment) == row.aligned);
  }
}

TEST_CASE("a range fits when all of it lies below the limit, however large the numbers") {
  struct Row {
    std::uint64_t offset, size, limit;
    bool fits;
  };
  const Row rows[] = {
      {0, 0, 0, true},           {0, 1, 0, false},         {1, 0, 0, false},
      {0, 10, 10, true},         {4, 6, 10, true},         {4, 7, 10, false},
      {10, 0, 10, true},         {11, 0, 10, false},       {kMax, 2, 10, false},
      {2, kMax, 10, false},      {2, kMax - 1, 10, false},  // the sum wraps to 0
      {kMax, kMax, kMax, false}, {kMax, 0, kMax, true},    {0, kMax, kMax, true},
      {1, kMax, kMax, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.offset);
    CAPTURE(row.size);
    CAPTURE(row.limit);
    CHECK(range_fits(row.offset, row.size, row.limit) == row.fits);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
