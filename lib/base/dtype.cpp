// SPDX-License-Identifier: Apache-2.0
#include "weightmap/dtype.h"

#include <algorithm>
#include <array>

namespace weightmap {
namespace {

// In the order of c10::ScalarType (torch/headeronly/core/ScalarType.h). The uint1..7 and int1..7
// kinds take a whole byte an element in PyTorch, which uses them inside wrapper subclasses only.
constexpr std::array<DtypeInfo, kDtypeCount> kInfos{{
    {"uint8", 8, 1, false},
    {"int8", 8, 1, false},
    {"int16", 16, 1, false},
    {"int32", 32, 1, false},
    {"int64", 64, 1, false},
    {"float16", 16, 1, false},
    {"float32", 32, 1, false},
    {"float64", 64, 1, false},
    {"complex32", 32, 1, true},
    {"complex64", 64, 1, true},
    {"complex128", 128, 1, true},
    {"bool", 8, 1, false},
    {"qint8", 8, 1, false},
    {"quint8", 8, 1, false},
    {"qint32", 32, 1, false},
    {"bfloat16", 16, 1, false},
    {"quint4x2", 4, 1, false},
    {"quint2x4", 2, 1, false},
    {"bits1x8", 8, 8, false},
    {"bits2x4", 8, 4, false},
    {"bits4x2", 8, 2, false},
    {"bits8", 8, 1, false},
    {"bits16", 16, 1, false},
    {"float8_e5m2", 8, 1, false},
    {"float8_e4m3fn", 8, 1, false},
    {"float8_e5m2fnuz", 8, 1, false},
    {"float8_e4m3fnuz", 8, 1, false},
    {"uint16", 16, 1, false},
    {"uint32", 32, 1, false},
    {"uint64", 64, 1, false},
    {"uint1", 8, 1, false},
    {"uint2", 8, 1, false},
    {"uint3", 8, 1, false},
    {"uint4", 8, 1, false},
    {"uint5", 8, 1, false},
    {"uint6", 8, 1, false},
    {"uint7", 8, 1, false},
    {"int1", 8, 1, false},
    {"int2", 8, 1, false},
    {"int3", 8, 1, false},
    {"int4", 8, 1, false},
    {"int5", 8, 1, false},
    {"int6", 8, 1, false},
    {"int7", 8, 1, false},
    {"float8_e8m0fnu", 8, 1, false},
    {"float4_e2m1fn_x2", 8, 2, false},
    {"bcomplex32", 32, 1, true},
}};

}  // namespace

const DtypeInfo& dtype_info(Dtype dtype) {
  return kInfos[static_cast<std::size_t>(dtype)];
}

bool is_known_dtype(std::uint8_t number) {
  return number < kDtypeCount;
}

std::optional<Dtype> dtype_from_name(std::string_view name) {
  const auto found = std::ranges::find(kInfos, name, &DtypeInfo::name);
  if (found == kInfos.end()) return std::nullopt;
  return static_cast<Dtype>(found - kInfos.begin());
}

}  // namespace weightmap
