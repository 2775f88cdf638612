// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/storage_class.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

// c10::ScalarType's own names, in its order. Python writes 17 of them; the C++ pickler writes any.
constexpr std::array<std::string_view, kDtypeCount> kScalarTypes{"Byte",
                                                                 "Char",
                                                                 "Short",
                                                                 "Int",
                                                                 "Long",
                                                                 "Half",
                                                                 "Float",
                                                                 "Double",
                                                                 "ComplexHalf",
                                                                 "ComplexFloat",
                                                                 "ComplexDouble",
                                                                 "Bool",
                                                                 "QInt8",
                                                                 "QUInt8",
                                                                 "QInt32",
                                                                 "BFloat16",
                                                                 "QUInt4x2",
                                                                 "QUInt2x4",
                                                                 "Bits1x8",
                                                                 "Bits2x4",
                                                                 "Bits4x2",
                                                                 "Bits8",
                                                                 "Bits16",
                                                                 "Float8_e5m2",
                                                                 "Float8_e4m3fn",
                                                                 "Float8_e5m2fnuz",
                                                                 "Float8_e4m3fnuz",
                                                                 "UInt16",
                                                                 "UInt32",
                                                                 "UInt64",
                                                                 "UInt1",
                                                                 "UInt2",
                                                                 "UInt3",
                                                                 "UInt4",
                                                                 "UInt5",
                                                                 "UInt6",
                                                                 "UInt7",
                                                                 "Int1",
                                                                 "Int2",
                                                                 "Int3",
                                                                 "Int4",
                                                                 "Int5",
                                                                 "Int6",
                                                                 "Int7",
                                                                 "Float8_e8m0fnu",
                                                                 "Float4_e2m1fn_x2",
                                                                 "BComplex32"};

constexpr std::string_view kSuffix = "Storage";

}  // namespace

std::optional<Dtype> dtype_of_storage_class(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  // `_UntypedStorage` until 1.12
  if (name == "Untyped" || name == "_Untyped") return Dtype::kUInt8;
  const auto found = std::ranges::find(kScalarTypes, name);
  if (found == kScalarTypes.end()) return std::nullopt;
  return static_cast<Dtype>(found - kScalarTypes.begin());
}

std::optional<Dtype> dtype_of_tensor_class(const GlobalName& name) {
  constexpr auto kTyped = std::to_array<std::string_view>(
      {"Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "Bool", "BFloat16"});
  constexpr std::string_view kTensor = "Tensor";
  const bool is_class =
      (name.module == "torch" || name.module == "torch.cuda") && name.name.ends_with(kTensor);
  if (!is_class) return std::nullopt;
  const auto type = name.name.substr(0, name.name.size() - kTensor.size());
  if (type.empty() && name.module == "torch") return Dtype::kFloat32;
  if (std::ranges::find(kTyped, type) == kTyped.end()) return std::nullopt;
  return dtype_of_storage_class(concat(type, kSuffix));
}

std::optional<std::string> storage_class_of(Dtype dtype) {
  constexpr auto kTyped = std::to_array<Dtype>(
      {Dtype::kUInt8, Dtype::kInt8, Dtype::kInt16, Dtype::kInt32, Dtype::kInt64, Dtype::kFloat16,
       Dtype::kFloat32, Dtype::kFloat64, Dtype::kComplex64, Dtype::kComplex128, Dtype::kBool,
       Dtype::kQInt8, Dtype::kQUInt8, Dtype::kQInt32, Dtype::kBFloat16, Dtype::kQUInt4x2,
       Dtype::kQUInt2x4});
  if (std::ranges::find(kTyped, dtype) == kTyped.end()) return std::nullopt;
  return concat(kScalarTypes[static_cast<std::size_t>(dtype)], kSuffix);
}

}  // namespace weightmap::checkpoint
