// SPDX-License-Identifier: Apache-2.0
#include "convert/safetensors_header.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "base/text.h"

namespace weightmap::convert {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMostHeaderBytes = 100'000'000;  // the reference library's own limit

struct Row {
  Dtype dtype;
  std::string_view name;
};

// In the order of the reference library's enumeration.
constexpr auto kRows = std::to_array<Row>({{Dtype::kBool, "BOOL"},
                                           {Dtype::kFloat4E2M1FNx2, "F4"},
                                           {Dtype::kUInt8, "U8"},
                                           {Dtype::kInt8, "I8"},
                                           {Dtype::kFloat8E5M2, "F8_E5M2"},
                                           {Dtype::kFloat8E4M3FN, "F8_E4M3"},
                                           {Dtype::kFloat8E8M0FNU, "F8_E8M0"},
                                           {Dtype::kFloat8E4M3FNUZ, "F8_E4M3FNUZ"},
                                           {Dtype::kFloat8E5M2FNUZ, "F8_E5M2FNUZ"},
                                           {Dtype::kInt16, "I16"},
                                           {Dtype::kUInt16, "U16"},
                                           {Dtype::kFloat16, "F16"},
                                           {Dtype::kBFloat16, "BF16"},
                                           {Dtype::kInt32, "I32"},
                                           {Dtype::kUInt32, "U32"},
                                           {Dtype::kFloat32, "F32"},
                                           {Dtype::kComplex64, "C64"},
                                           {Dtype::kFloat64, "F64"},
                                           {Dtype::kInt64, "I64"},
                                           {Dtype::kUInt64, "U64"}});

}  // namespace

SafetensorsDtype safetensors_dtype(Dtype dtype) {
  const auto* const found = std::ranges::find(kRows, dtype, &Row::dtype);
  if (found == kRows.end()) return {};
  return {found->name, static_cast<int>(found - kRows.begin())};
}

std::optional<std::vector<std::int64_t>> safetensors_shape(Dtype dtype,
                                                           std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> counted(shape.begin(), shape.end());
  const std::int64_t packed = dtype_info(dtype).packed_values;
  if (packed == 1) return counted;
  const auto last = counted.empty() ? std::nullopt : checked_mul(counted.back(), packed);
  if (!last) return std::nullopt;
  counted.back() = *last;
  return counted;
}

Result<std::string> safetensors_header(
    const std::vector<std::pair<std::string, std::string>>& metadata,
    const std::vector<SafetensorsEntry>& entries,
    std::uint64_t alignment_bytes) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata)
    json["__metadata__"][key] = value;
  // Names are unique, so nothing is looked up.
  auto& members = json.get_ref<nlohmann::ordered_json::object_t&>();
  members.reserve(members.size() + entries.size());
  for (const SafetensorsEntry& entry : entries) {
    members.std::vector<nlohmann::ordered_json::object_t::value_type>::emplace_back(
        entry.name, nlohmann::ordered_json{{"dtype", safetensors_dtype(entry.dtype).name},
                                           {"shape", *safetensors_shape(entry.dtype, entry.shape)},
                                           {"data_offsets", {entry.begin_bytes, entry.end_bytes}}});
  }
  std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::uint64_t end = kLengthBytes + text.size();
  text.append((alignment_bytes - end % alignment_bytes) % alignment_bytes, ' ');
  if (text.size() > kMostHeaderBytes) {
    return Error(ErrorCode::kUnsupported,
                 concat("a header of ", text.size(), " bytes, of which safetensors takes at most ",
                        kMostHeaderBytes));
  }
  std::string length;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length += static_cast<char>(text.size() >> 8U * i & 0xFFU);
  return length + text;
}

}  // namespace weightmap::convert
