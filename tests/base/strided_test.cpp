// SPDX-License-Identifier: Apache-2.0
#include "base/strided.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

using Sizes = std::vector<std::int64_t>;

constexpr std::int64_t kLarge = std::int64_t{1} << 40;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

TEST_SUITE_BEGIN("base/strided");

TEST_CASE("a shape's contiguous strides are those of PyTorch, or nothing when one is too large") {
  struct Row {
    Sizes shape;
    std::optional<Sizes> strides;
  };
  // torch.empty(shape).stride()
  const Row rows[] = {
      {{}, Sizes{}},
      {{5}, Sizes{1}},
      {{0}, Sizes{1}},
      {{2, 3, 4}, Sizes{12, 4, 1}},
      {{2, 0, 4}, Sizes{4, 4, 1}},
      {{1, 1}, Sizes{1, 1}},
      {{0, kMax}, Sizes{kMax, 1}},
      {{kMax, 0, 2}, Sizes{2, 2, 1}},
      {{0, kMax, 2}, std::nullopt},
      {{0, kLarge, kLarge}, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shape.size());
    CHECK(checked_contiguous_strides(row.shape) == row.strides);
  }
}

TEST_CASE("the elements of a shape are counted, or nothing when they are too many") {
  struct Row {
    Sizes shape;
    std::optional<std::int64_t> count;
  };
  const Row rows[] = {
      {{}, 1},
      {{0}, 0},
      {{5}, 5},
      {{2, 3, 4}, 24},
      {{kLarge, kLarge, 0}, 0},
      {{0, kMax, kMax}, 0},
      {{kMax}, kMax},
      {{kMax, 1, 1}, kMax},
      {{kMax, 2}, std::nullopt},
      {{kLarge, kLarge}, std::nullopt},
      {{std::int64_t{1} << 31, std::int64_t{1} << 32}, std::nullopt},
      {{std::int64_t{1} << 31, std::int64_t{1} << 31}, std::int64_t{1} << 62},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shape.size());
    CHECK(checked_element_count(row.shape) == row.count);
  }
}

TEST_CASE("an extent reaches from the first to the last byte that is touched") {
  struct Row {
    const char* name;
    Dtype dtype;
    Sizes shape;
    Sizes strides;
    std::optional<std::uint64_t> bytes;
  };
  const Row rows[] = {
      {"a scalar", Dtype::kFloat32, {}, {}, 4},
      {"a vector", Dtype::kFloat64, {5}, {1}, 40},
      {"rows", Dtype::kFloat32, {2, 3}, {3, 1}, 24},
      {"columns", Dtype::kFloat32, {2, 3}, {1, 2}, 24},
      {"every second", Dtype::kInt16, {3}, {2}, 10},
      {"a window of a larger matrix", Dtype::kUInt8, {2, 2}, {100, 1}, 102},
      {"one element seen often", Dtype::kFloat32, {1000, 1000}, {0, 0}, 4},
      {"no elements", Dtype::kFloat32, {3, 0}, {kMax, 1}, 0},
      {"a stride of a single row", Dtype::kFloat32, {1, 2}, {kMax, 1}, 8},
      {"half bytes", Dtype::kQUInt4x2, {3}, {1}, 2},
      {"half bytes, even", Dtype::kQUInt4x2, {4}, {1}, 2},
      {"quarter bytes", Dtype::kQUInt2x4, {5}, {1}, 2},
      {"wide", Dtype::kComplex128, {2}, {1}, 32},
      {"a reach beyond 64 bits", Dtype::kUInt8, {3, 3}, {kMax, kMax}, std::nullopt},
      {"a product beyond 64 bits", Dtype::kUInt8, {kLarge}, {kLarge}, std::nullopt},
      {"bits beyond 64 bits", Dtype::kFloat32, {2}, {std::int64_t{1} << 60}, std::nullopt},
      {"the largest reach",
       Dtype::kUInt8,
       {2},
       {(std::int64_t{1} << 61) - 2},
       (std::uint64_t{1} << 61U) - 1},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.name));
    CHECK(checked_extent_bytes(row.dtype, row.shape, row.strides) == row.bytes);
  }
}

TEST_CASE("contiguous means row-major without gaps, sizes of 1 and of 0 aside") {
  struct Row {
    Sizes shape;
    Sizes strides;
    bool contiguous;
  };
  const Row rows[] = {
      {{}, {}, true},
      {{4}, {1}, true},
      {{4}, {2}, false},
      {{4}, {0}, false},
      {{2, 3}, {3, 1}, true},
      {{2, 3}, {1, 2}, false},
      {{2, 3}, {4, 1}, false},
      {{1, 3}, {77, 1}, true},
      {{2, 1, 3}, {3, 99, 1}, true},
      {{3, 1}, {1, 5}, true},
      {{0}, {7}, true},
      {{2, 0, 3}, {5, 5, 5}, true},
      {{kLarge, kLarge}, {kLarge, 1}, true},
      {{2, kLarge, kLarge}, {0, kLarge, 1}, false},  // 2^80 wraps to 0
  };
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    CAPTURE(i);
    CHECK(is_contiguous(rows[i].shape, rows[i].strides) == rows[i].contiguous);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
