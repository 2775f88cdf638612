// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weightmap {

// PyTorch's element types. The numbers are those of c10::ScalarType, which PyTorch only appends to;
// they are what a weight file stores.
enum class Dtype : std::uint8_t {
  kUInt8 = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kFloat16 = 5,
  kFloat32 = 6,
  kFloat64 = 7,
  kComplex32 = 8,
  kComplex64 = 9,
  kComplex128 = 10,
  kBool = 11,
  kQInt8 = 12,
  kQUInt8 = 13,
  kQInt32 = 14,
  kBFloat16 = 15,
  kQUInt4x2 = 16,
  kQUInt2x4 = 17,
  kBits1x8 = 18,
  kBits2x4 = 19,
  kBits4x2 = 20,
  kBits8 = 21,
  kBits16 = 22,
  kFloat8E5M2 = 23,
  kFloat8E4M3FN = 24,
  kFloat8E5M2FNUZ = 25,
  kFloat8E4M3FNUZ = 26,
  kUInt16 = 27,
  kUInt32 = 28,
  kUInt64 = 29,
  kUInt1 = 30,
  kUInt2 = 31,
  kUInt3 = 32,
  kUInt4 = 33,
  kUInt5 = 34,
  kUInt6 = 35,
  kUInt7 = 36,
  kInt1 = 37,
  kInt2 = 38,
  kInt3 = 39,
  kInt4 = 40,
  kInt5 = 41,
  kInt6 = 42,
  kInt7 = 43,
  kFloat8E8M0FNU = 44,
  kFloat4E2M1FNx2 = 45,
  kBComplex32 = 46,
};

inline constexpr int kDtypeCount = 47;

struct DtypeInfo {
  std::string_view name;       // PyTorch's word without `torch.`: "float32"
  std::uint8_t element_bits;   // room that one element of a shape takes: 4 for quint4x2
  std::uint8_t packed_values;  // values inside one element: 8 for bits1x8, 2 for float4_e2m1fn_x2
  bool is_complex;
};

// REQUIRES: dtype is one of the enumerators; from a file, ask is_known_dtype first.
const DtypeInfo& dtype_info(Dtype dtype);

bool is_known_dtype(std::uint8_t number);

inline std::string_view dtype_name(Dtype dtype) {
  return dtype_info(dtype).name;
}

// By PyTorch's canonical name ("float32", not "float").
std::optional<Dtype> dtype_from_name(std::string_view name);

// Elements that C++20 has no type for: the stored bits, for the caller to interpret.
struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};
struct Float8E5M2 {
  std::uint8_t bits;
};
struct Float8E4M3FN {
  std::uint8_t bits;
};

// The dtype that a C++ element type stands for; only the types below have one.
template <typename T>
inline constexpr std::optional<Dtype> kDtypeOf = std::nullopt;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<bool> = Dtype::kBool;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::uint8_t> = Dtype::kUInt8;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::int8_t> = Dtype::kInt8;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::uint16_t> = Dtype::kUInt16;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::int16_t> = Dtype::kInt16;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::uint32_t> = Dtype::kUInt32;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::int32_t> = Dtype::kInt32;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::uint64_t> = Dtype::kUInt64;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::int64_t> = Dtype::kInt64;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<float> = Dtype::kFloat32;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<double> = Dtype::kFloat64;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::complex<float>> = Dtype::kComplex64;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<std::complex<double>> = Dtype::kComplex128;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<Float16> = Dtype::kFloat16;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<BFloat16> = Dtype::kBFloat16;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<Float8E5M2> = Dtype::kFloat8E5M2;
template <>
inline constexpr std::optional<Dtype> kDtypeOf<Float8E4M3FN> = Dtype::kFloat8E4M3FN;

template <typename T>
concept Element = kDtypeOf<T>
.has_value();

}  // namespace weightmap
