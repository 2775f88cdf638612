// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <flatbuffers/flatbuffers.h>

// Writing FlatBuffers: an empty vector is left out, where FlatBuffers' own functions write one.
namespace weightmap::format {

template <typename T>
using StructVector = flatbuffers::Offset<flatbuffers::Vector<const T*>>;

template <typename T>
StructVector<T> struct_vector(flatbuffers::FlatBufferBuilder& builder, std::span<const T> from) {
  if (from.empty()) return {};
  return builder.CreateVectorOfStructs(from.data(), from.size());
}

template <typename T>
flatbuffers::Offset<flatbuffers::Vector<T>> scalar_vector(flatbuffers::FlatBufferBuilder& builder,
                                                          std::span<const T> from) {
  if (from.empty()) return {};
  return builder.CreateVector(from.data(), from.size());
}

inline flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> byte_vector(
    flatbuffers::FlatBufferBuilder& builder, std::string_view from) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(from.data());
  return scalar_vector(builder, std::span(begin, from.size()));
}

inline std::vector<std::byte> finished_bytes(const flatbuffers::FlatBufferBuilder& builder) {
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace weightmap::format
