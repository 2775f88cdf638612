// SPDX-License-Identifier: Apache-2.0
#include "weightmap/tensor_view.h"

#include <array>

#include <doctest/doctest.h>

#include "format/index_view.h"

namespace weightmap {
namespace {

struct Given {
  Dtype dtype = Dtype::kFloat32;
  std::uint16_t flags = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

alignas(64) const std::array<float, 16> kFloats{0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};

TensorView view_of(const Given& given, std::size_t offset_bytes = 0) {
  return TensorView({.name = "w",
                     .dtype = given.dtype,
                     .flags = given.flags,
                     .shape = given.shape,
                     .strides = given.strides,
                     .data = reinterpret_cast<const std::byte*>(kFloats.data()) + offset_bytes});
}

TEST_SUITE_BEGIN("runtime/tensor_view");

TEST_CASE("contiguous elements of the asked type are handed out in place") {
  const Given given{.shape = {2, 3}, .strides = {3, 1}};
  const auto values = view_of(given, 4).values<float>();
  REQUIRE(values);
  CHECK(values->size() == 6);
  CHECK(values->data() == kFloats.data() + 1);
  CHECK((*values)[5] == 6.0F);
}

TEST_CASE("values are refused, never reinterpreted") {
  struct Row {
    const char* what;
    Given given;
    std::size_t offset_bytes;
    const char* message;
  };
  const std::vector<Row> rows{
      {"another dtype",
       {Dtype::kInt32, 0, {4}, {1}},
       0,
       "tensor `w`: its dtype is int32, asked for float32"},
      {"transposed",
       {Dtype::kFloat32, 0, {2, 3}, {1, 2}},
       0,
       "not contiguous, strides [1, 2] for shape [2, 3]"},
      {"expanded", {Dtype::kFloat32, 0, {4}, {0}}, 0, "not contiguous"},
      {"conjugated", {Dtype::kFloat32, format::kConj, {4}, {1}}, 0, "conjugated or negated"},
      {"negated", {Dtype::kFloat32, format::kNeg, {4}, {1}}, 0, "conjugated or negated"},
      {"meta", {Dtype::kFloat32, format::kMeta, {4}, {1}}, 0, "no values"},
      {"lazy", {Dtype::kFloat32, format::kUninitialized, {}, {}}, 0, "no values"},
      {"misaligned", {Dtype::kFloat32, 0, {4}, {1}}, 2, "multiple of 4"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto values = view_of(row.given, row.offset_bytes).values<float>();
    REQUIRE_FALSE(values);
    CHECK(values.error().code() == ErrorCode::kMismatch);
    CHECK(values.error().message().find(row.message) != std::string::npos);
  }
}

TEST_CASE("contiguity is PyTorch's") {
  struct Row {
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;
    bool contiguous;
  };
  // What torch.empty(...).as_strided(shape, strides).is_contiguous() answers.
  const std::vector<Row> rows{
      {{}, {}, true},
      {{0}, {7}, true},
      {{3, 0, 2}, {9, 9, 9}, true},
      {{2, 3}, {3, 1}, true},
      {{1, 3}, {99, 1}, true},
      {{3, 1}, {1, 99}, true},
      {{2, 3}, {1, 2}, false},
      {{2, 3}, {4, 1}, false},
      {{3}, {2}, false},
      {{3}, {0}, false},
      {{2, 1, 3}, {3, 5, 1}, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shape.size());
    const Given given{.shape = row.shape, .strides = row.strides};
    CHECK(view_of(given).is_contiguous() == row.contiguous);
  }
}

TEST_CASE("flags are told apart") {
  const Given given{.flags = format::kParameter | format::kRequiresGrad};
  const TensorView view = view_of(given);
  CHECK(view.is_parameter());
  CHECK(view.requires_grad());
  CHECK_FALSE(view.is_buffer());
  CHECK_FALSE(view.is_conj());
  CHECK_FALSE(view.is_neg());
  CHECK(view.element_count() == 1);
}

TEST_CASE("a tensor without elements may have sizes whose product does not fit") {
  constexpr std::array<std::int64_t, 3> kShape = {std::int64_t{1} << 62, std::int64_t{1} << 62, 0};
  constexpr std::array<std::int64_t, 3> kStrides = {1, 1, 1};
  const TensorView tensor({.name = "empty", .shape = kShape, .strides = kStrides});
  CHECK(tensor.element_count() == 0);
  CHECK(tensor.values<float>()->empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
