// SPDX-License-Identifier: Apache-2.0
#include "convert/tensor_pair.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include <doctest/doctest.h>

#include "convert/element_comparison.h"
#include "support/file_bytes.h"

namespace weightmap::convert {
namespace {

using Sizes = std::vector<std::int64_t>;

// One segment of bytes in memory, and one tensor in it.
class MemorySide : public DiffSide {
 public:
  MemorySide(std::string bytes, Dtype dtype, Sizes shape, Sizes strides)
      : DiffSide("memory", "memory"),
        bytes_(std::move(bytes)),
        shape_(std::move(shape)),
        strides_(std::move(strides)) {
    const TensorView view({.name = "t", .dtype = dtype, .shape = shape_, .strides = strides_});
    tensors_.push_back({.view = view, .segment = 0, .extent_bytes = bytes_.size()});
  }

  Digest digest(std::uint32_t) const override { return {}; }
  std::optional<Digest> whole_digest() const override { return std::nullopt; }
  Result<ValueGraph> values() override { return ValueGraph(); }
  Result<void> read(std::uint32_t, std::uint64_t offset, std::span<std::byte> into) override {
    REQUIRE(offset + into.size() <= bytes_.size());
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    read_bytes += into.size();
    largest_read = std::max(largest_read, into.size());
    return {};
  }

  // An element by its indices, one byte for those that are shorter.
  std::string element(const Sizes& at) const {
    const std::int64_t place =
        std::inner_product(at.begin(), at.end(), strides_.begin(), std::int64_t{0});
    const std::size_t bits = dtype_info(tensors_[0].view.dtype()).element_bits;
    const std::size_t bit = static_cast<std::size_t>(place) * bits;
    if (bits >= 8) return bytes_.substr(bit / 8, bits / 8);
    const auto byte = static_cast<unsigned char>(bytes_[bit / 8]);
    return {static_cast<char>(byte >> (bit % 8) & ((1U << bits) - 1))};
  }

  const Sizes& shape() const { return shape_; }
  std::uint64_t read_bytes = 0;
  std::size_t largest_read = 0;

 private:
  std::string bytes_;
  Sizes shape_;
  Sizes strides_;
};

// Both elements of each place, in ascending order: whatever order they were read in.
using Elements = std::vector<std::string>;

Elements counted_out(const MemorySide& first, const MemorySide& second) {
  const Sizes& shape = first.shape();
  Sizes at(shape.size(), 0);
  Elements elements;
  std::int64_t count =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies());
  for (; count > 0; --count) {
    elements.push_back(first.element(at) + second.element(at));
    for (std::size_t i = shape.size(); i-- > 0 && ++at[i] == shape[i];)
      at[i] = 0;
  }
  std::ranges::sort(elements);
  return elements;
}

Elements read_out(TensorPair& pair, std::size_t first_bytes, std::size_t second_bytes) {
  Elements elements;
  std::uint64_t bytes = 0;
  const auto look = [&](std::span<const std::byte> a,
                        std::span<const std::byte> b) -> Result<void> {
    REQUIRE(a.size() / first_bytes == b.size() / second_bytes);
    bytes += std::max(a.size(), b.size());
    for (std::size_t i = 0; i * first_bytes < a.size(); ++i) {
      std::string element(tests::text_of(a.subspan(i * first_bytes, first_bytes)));
      element += tests::text_of(b.subspan(i * second_bytes, second_bytes));
      for (std::uint64_t n = 0; n < pair.repeats(); ++n)
        elements.push_back(element);
    }
    return {};
  };
  REQUIRE(pair.read(look));
  CHECK(bytes == pair.size_bytes());
  std::ranges::sort(elements);
  return elements;
}

std::string bytes_for(Dtype dtype, const Sizes& shape, const Sizes& strides, std::uint64_t seed) {
  std::size_t reach = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    reach += static_cast<std::size_t>((shape[i] - 1) * strides[i]);
  return tests::noise((reach * dtype_info(dtype).element_bits + 7) / 8, seed);
}

TEST_SUITE_BEGIN("convert/tensor_pair");

TEST_CASE("elements of one place are read together whatever the strides") {
  struct Row {
    Sizes shape, first, second;
    Dtype dtype = Dtype::kFloat32, other = Dtype::kFloat32;
  };
  const Row rows[] = {
      {{}, {}, {}},
      {{5}, {1}, {1}},
      {{5}, {1}, {3}},
      {{5}, {0}, {1}},
      {{5, 4}, {0, 0}, {0, 0}},
      {{5, 4}, {0, 1}, {4, 1}},
      {{5, 4}, {1, 0}, {0, 1}},
      {{3, 4, 5}, {20, 5, 1}, {1, 3, 12}},
      {{3, 4, 5}, {1, 3, 12}, {1, 3, 12}},
      {{3, 4, 5}, {40, 10, 2}, {60, 15, 3}},
      {{3, 1, 5}, {5, 77, 1}, {5, 1, 1}},
      {{4, 3}, {2, 1}, {3, 1}},
      {{3, 4, 5}, {20, 5, 1}, {1, 3, 12}, Dtype::kInt8, Dtype::kComplex128},
      {{3, 5}, {5, 1}, {1, 3}, Dtype::kQUInt4x2, Dtype::kQUInt4x2},
      {{3, 5}, {5, 1}, {5, 1}, Dtype::kQUInt2x4, Dtype::kQUInt4x2},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shape);
    CAPTURE(row.first);
    CAPTURE(row.second);
    MemorySide a(bytes_for(row.dtype, row.shape, row.first, 1), row.dtype, row.shape, row.first);
    MemorySide b(bytes_for(row.other, row.shape, row.second, 2), row.other, row.shape, row.second);
    TensorPair pair(a, a.tensors()[0], b, b.tensors()[0]);
    CHECK(read_out(pair, compared_bytes(row.dtype), compared_bytes(row.other)) ==
          counted_out(a, b));
  }
}

TEST_CASE("tensors without elements are read by nobody") {
  const Sizes shape = {3, 0, 2};
  MemorySide a("", Dtype::kFloat32, shape, {2, 2, 1});
  MemorySide b("", Dtype::kFloat32, shape, {0, 0, 0});
  TensorPair pair(a, a.tensors()[0], b, b.tensors()[0]);
  CHECK(pair.size_bytes() == 0);
  CHECK(read_out(pair, 4, 4).empty());
}

TEST_CASE("large tensors are read in blocks, those of one order in the order of their bytes") {
  const Sizes shape = {3, 1000, 1100};  // 3.3 million
  const Sizes usual = {1'100'000, 1100, 1};
  const Sizes permuted = {1, 3300, 3};
  struct Row {
    Sizes first, second;
  };
  for (const Row& row : {Row{usual, usual}, Row{permuted, permuted}, Row{usual, permuted}}) {
    MemorySide a(bytes_for(Dtype::kFloat32, shape, row.first, 1), Dtype::kFloat32, shape,
                 row.first);
    MemorySide b(bytes_for(Dtype::kFloat32, shape, row.second, 2), Dtype::kFloat32, shape,
                 row.second);
    TensorPair pair(a, a.tensors()[0], b, b.tensors()[0]);
    std::uint64_t sum = 0;  // of products of what stands at one place: each pair by another weight
    std::uint64_t count = 0;
    const auto look = [&](std::span<const std::byte> x,
                          std::span<const std::byte> y) -> Result<void> {
      CHECK(x.size() <= (4U << 20U));
      for (std::size_t i = 0; i < x.size(); i += 4, ++count) {
        std::uint32_t p = 0;
        std::uint32_t q = 0;
        std::memcpy(&p, x.data() + i, 4);
        std::memcpy(&q, y.data() + i, 4);
        sum += std::uint64_t{p} * q;
      }
      return {};
    };
    REQUIRE(pair.read(look));
    CHECK(count == 3'300'000);
    CHECK(a.largest_read <= (8U << 20U));
    CHECK(b.largest_read <= (8U << 20U));
    if (row.first == row.second) CHECK(a.read_bytes == 4 * count);
    std::uint64_t expected = 0;
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      for (std::int64_t j = 0; j < shape[1]; ++j) {
        for (std::int64_t k = 0; k < shape[2]; ++k) {
          std::uint32_t p = 0;
          std::uint32_t q = 0;
          std::memcpy(&p, a.element({i, j, k}).data(), 4);
          std::memcpy(&q, b.element({i, j, k}).data(), 4);
          expected += std::uint64_t{p} * q;
        }
      }
    }
    CHECK(sum == expected);
  }
}

TEST_CASE("a pair that is too large for a number has no size") {
  const std::int64_t many = std::int64_t{1} << 31U;
  MemorySide a("", Dtype::kComplex128, {many, many}, {0, 1});
  MemorySide b("", Dtype::kComplex128, {many, many}, {1, 0});
  CHECK_FALSE(TensorPair(a, a.tensors()[0], b, b.tensors()[0]).size_bytes());
  CHECK(TensorPair(a, a.tensors()[0], a, a.tensors()[0]).size_bytes() == 16U * many);
}

}  // namespace
}  // namespace weightmap::convert
