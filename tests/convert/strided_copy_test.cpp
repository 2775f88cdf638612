// SPDX-License-Identifier: Apache-2.0
#include "convert/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/file_bytes.h"

namespace weightmap::convert {
namespace {

using Sizes = std::vector<std::int64_t>;

std::int64_t extent_of(const Sizes& shape, const Sizes& strides) {
  std::int64_t extent = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    extent += (shape[i] - 1) * strides[i];
  return extent;
}

// Element by element, by counting the indices up.
std::string naive(const std::string& source, const Sizes& shape, const Sizes& strides, int bytes) {
  Sizes index(shape.size(), 0);
  const std::int64_t count =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies());
  std::string out;
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int64_t place =
        std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
    out.append(source, static_cast<std::size_t>(place * bytes), static_cast<std::size_t>(bytes));
    for (std::size_t i = shape.size(); i-- > 0 && ++index[i] == shape[i];)
      index[i] = 0;
  }
  return out;
}

struct Copied {
  std::string bytes;
  std::uint64_t read_bytes = 0;
  std::uint64_t reads = 0;
  std::size_t largest = 0;  // of a read or a put
};

Copied copied(const std::string& source, const Sizes& shape, const Sizes& strides, Dtype dtype) {
  const TensorView tensor({.name = "t",
                           .dtype = dtype,
                           .shape = shape,
                           .strides = strides,
                           .data = reinterpret_cast<const std::byte*>(source.data())});
  Copied copied;
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) -> Result<void> {
    REQUIRE(offset + into.size() <= source.size());
    std::memcpy(into.data(), source.data() + offset, into.size());
    copied.read_bytes += into.size();
    ++copied.reads;
    copied.largest = std::max(copied.largest, into.size());
    return {};
  };
  const auto put = [&](std::span<const std::byte> bytes) -> Result<void> {
    copied.bytes += tests::text_of(bytes);
    copied.largest = std::max(copied.largest, bytes.size());
    return {};
  };
  REQUIRE(copy_row_major(tensor, read, put));
  return copied;
}

TEST_SUITE_BEGIN("convert/strided_copy");

TEST_CASE("any strides give what counting the indices gives") {
  struct Row {
    Sizes shape;
    Sizes strides;
  };
  const Row rows[] = {
      {{}, {}},
      {{5}, {3}},
      {{4}, {0}},
      {{3, 4}, {1, 3}},
      {{2, 3, 4}, {1, 8, 2}},
      {{5, 4}, {2, 1}},
      {{3, 1, 4}, {100, 77, 7}},
      {{2, 3, 2, 2}, {1, 0, 50, 1}},
      {{0, 3}, {3, 1}},
      // Larger than a block, or far apart.
      {{1100, 1200}, {1, 1100}},
      {{3, 700, 900}, {1, 2700, 3}},
      {{40, 3}, {300'000, 1}},
      {{3, 40}, {1, 300'000}},
      {{1'500'000}, {2}},
      {{1200, 1000}, {0, 1}},
      {{1200, 1000}, {1, 0}},
  };
  for (const auto& row : rows) {
    const auto& [shape, strides] = row;
    CAPTURE(row.shape.size());
    CAPTURE(extent_of(row.shape, row.strides));
    const auto bytes =
        static_cast<std::size_t>(std::max<std::int64_t>(extent_of(shape, strides), 1));
    const std::string source = tests::noise(bytes * 8);
    const Copied found = copied(source, shape, strides, Dtype::kInt64);
    CHECK(found.bytes == naive(source, shape, strides, 8));
    CHECK(found.largest <= StridedCopyLimits::kBlockBytes);
  }
}

TEST_CASE("a transposed matrix is read about once, not element by element") {
  const Sizes shape = {2000, 1100};
  const std::string source = tests::noise(2000 * 1100 * 8);
  const Copied found = copied(source, shape, {1, 2000}, Dtype::kFloat64);
  CHECK(found.read_bytes <= 3 * source.size());
  CHECK(found.reads < 10'000);
}

TEST_CASE("a column of a wide matrix does not read the matrix") {
  const std::string source = tests::noise(500 * 2000 * 8);
  const Copied found = copied(source, {500}, {2000}, Dtype::kFloat64);
  CHECK(found.read_bytes == 500 * 8);
}

TEST_CASE("what fails first is told") {
  const std::int64_t shape[] = {2, 2};
  const std::int64_t strides[] = {1, 2};
  const std::string source(32, '\0');
  const TensorView tensor({.name = "t",
                           .dtype = Dtype::kInt64,
                           .shape = shape,
                           .strides = strides,
                           .data = reinterpret_cast<const std::byte*>(source.data())});
  const Error failure(ErrorCode::kIo, "the disk is on fire");
  const auto fails = [&](auto&&...) -> Result<void> { return failure; };
  const auto works = [](auto&&...) -> Result<void> { return {}; };
  CHECK(copy_row_major(tensor, fails, works).error().message() == "the disk is on fire");
  CHECK(copy_row_major(tensor, works, fails).error().message() == "the disk is on fire");
}

}  // namespace
}  // namespace weightmap::convert
