// SPDX-License-Identifier: Apache-2.0
#include "weightmap/dtype.h"

#include <string>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

// From PyTorch's documentation of torch.dtype and the order of c10::ScalarType in its sources, not
// from our table. Bits of one element of a shape, values in one element.
struct Row {
  int number;
  std::string_view name;
  int element_bits;
  int packed_values;
  bool is_complex;
};

constexpr Row kRows[] = {
    {0, "uint8", 8, 1, false},
    {1, "int8", 8, 1, false},
    {2, "int16", 16, 1, false},
    {3, "int32", 32, 1, false},
    {4, "int64", 64, 1, false},
    {5, "float16", 16, 1, false},
    {6, "float32", 32, 1, false},
    {7, "float64", 64, 1, false},
    {8, "complex32", 32, 1, true},
    {9, "complex64", 64, 1, true},
    {10, "complex128", 128, 1, true},
    {11, "bool", 8, 1, false},
    {12, "qint8", 8, 1, false},
    {13, "quint8", 8, 1, false},
    {14, "qint32", 32, 1, false},
    {15, "bfloat16", 16, 1, false},
    {16, "quint4x2", 4, 1, false},
    {17, "quint2x4", 2, 1, false},
    {18, "bits1x8", 8, 8, false},
    {19, "bits2x4", 8, 4, false},
    {20, "bits4x2", 8, 2, false},
    {21, "bits8", 8, 1, false},
    {22, "bits16", 16, 1, false},
    {23, "float8_e5m2", 8, 1, false},
    {24, "float8_e4m3fn", 8, 1, false},
    {25, "float8_e5m2fnuz", 8, 1, false},
    {26, "float8_e4m3fnuz", 8, 1, false},
    {27, "uint16", 16, 1, false},
    {28, "uint32", 32, 1, false},
    {29, "uint64", 64, 1, false},
    {30, "uint1", 8, 1, false},
    {31, "uint2", 8, 1, false},
    {32, "uint3", 8, 1, false},
    {33, "uint4", 8, 1, false},
    {34, "uint5", 8, 1, false},
    {35, "uint6", 8, 1, false},
    {36, "uint7", 8, 1, false},
    {37, "int1", 8, 1, false},
    {38, "int2", 8, 1, false},
    {39, "int3", 8, 1, false},
    {40, "int4", 8, 1, false},
    {41, "int5", 8, 1, false},
    {42, "int6", 8, 1, false},
    {43, "int7", 8, 1, false},
    {44, "float8_e8m0fnu", 8, 1, false},
    {45, "float4_e2m1fn_x2", 8, 2, false},
    {46, "bcomplex32", 32, 1, true},
};

TEST_SUITE_BEGIN("base/dtype");

TEST_CASE("every dtype has PyTorch's number, name and size") {
  REQUIRE(std::size(kRows) == kDtypeCount);
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    const auto dtype = static_cast<Dtype>(row.number);
    CHECK(is_known_dtype(static_cast<std::uint8_t>(row.number)));
    CHECK(dtype_name(dtype) == row.name);
    CHECK(dtype_info(dtype).name == row.name);
    CHECK(dtype_info(dtype).element_bits == row.element_bits);
    CHECK(dtype_info(dtype).packed_values == row.packed_values);
    CHECK(dtype_info(dtype).is_complex == row.is_complex);
    CHECK(dtype_from_name(row.name) == dtype);
  }
}

TEST_CASE("the enumerators that programs write are the ones they read like") {
  CHECK(dtype_name(Dtype::kFloat32) == "float32");
  CHECK(dtype_name(Dtype::kBFloat16) == "bfloat16");
  CHECK(dtype_name(Dtype::kBool) == "bool");
  CHECK(dtype_name(Dtype::kQUInt4x2) == "quint4x2");
  CHECK(dtype_name(Dtype::kFloat8E4M3FN) == "float8_e4m3fn");
  CHECK(dtype_name(Dtype::kFloat8E5M2FNUZ) == "float8_e5m2fnuz");
  CHECK(dtype_name(Dtype::kUInt64) == "uint64");
  CHECK(dtype_name(Dtype::kInt1) == "int1");
  CHECK(dtype_name(Dtype::kFloat8E8M0FNU) == "float8_e8m0fnu");
  CHECK(dtype_name(Dtype::kFloat4E2M1FNx2) == "float4_e2m1fn_x2");
  CHECK(dtype_name(Dtype::kBComplex32) == "bcomplex32");
}

TEST_CASE("no other number is a dtype") {
  for (int number = kDtypeCount; number < 256; ++number) {
    CAPTURE(number);
    CHECK_FALSE(is_known_dtype(static_cast<std::uint8_t>(number)));
  }
}

TEST_CASE("only canonical names are names") {
  for (const std::string_view name : {"", "float", "double", "half", "long", "torch.float32",
                                      "Float32", "float32 ", "float3", "float322", "undefined"}) {
    CAPTURE(name);
    CHECK(dtype_from_name(name) == std::nullopt);
  }
}

template <typename T>
void check_element(std::string_view name) {
  CAPTURE(name);
  static_assert(Element<T>);
  CHECK(dtype_name(*kDtypeOf<T>) == name);
  CHECK(dtype_info(*kDtypeOf<T>).element_bits == 8 * sizeof(T));
}

TEST_CASE("an element type of C++ stands for the dtype of its kind and size") {
  check_element<bool>("bool");
  check_element<std::uint8_t>("uint8");
  check_element<std::int8_t>("int8");
  check_element<std::uint16_t>("uint16");
  check_element<std::int16_t>("int16");
  check_element<std::uint32_t>("uint32");
  check_element<std::int32_t>("int32");
  check_element<std::uint64_t>("uint64");
  check_element<std::int64_t>("int64");
  check_element<float>("float32");
  check_element<double>("float64");
  check_element<std::complex<float>>("complex64");
  check_element<std::complex<double>>("complex128");
  check_element<Float16>("float16");
  check_element<BFloat16>("bfloat16");
  check_element<Float8E5M2>("float8_e5m2");
  check_element<Float8E4M3FN>("float8_e4m3fn");
  static_assert(!Element<char>);
  static_assert(!Element<long double>);
  static_assert(!Element<std::string>);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
