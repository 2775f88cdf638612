// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <flatbuffers/flatbuffers.h>

#include "weightmap/digest.h"

#include "format/header.h"
#include "weightmap_generated.h"

// What the format adds to FlatBuffers 2.0.8, whose verifier checks offsets but not where the
// elements of a vector begin, and asserts instead of failing where a buffer is too long.
namespace weightmap::format {

static_assert(kMaxIndexBytes < FLATBUFFERS_MAX_BUFFER_SIZE);

// Any vector may be absent, which is the same as empty.

template <typename T>
std::span<const T> elements(const flatbuffers::Vector<const T*>* structs) {
  if (structs == nullptr) return {};
  return {reinterpret_cast<const T*>(structs->Data()), structs->size()};
}

template <typename T>
std::span<const T> elements(const flatbuffers::Vector<T>* scalars) {
  if (scalars == nullptr) return {};
  return {scalars->data(), scalars->size()};
}

inline std::string_view text_of(const flatbuffers::Vector<std::uint8_t>* bytes) {
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes->Data()), bytes->size()};
}

inline std::string_view text_of(const flatbuffers::String* text) {
  if (text == nullptr) return {};
  return {text->c_str(), text->size()};
}

template <typename Table>
std::uint32_t size_of(const flatbuffers::Vector<flatbuffers::Offset<Table>>* tables) {
  return tables == nullptr ? 0 : tables->size();
}

template <typename T>
bool is_aligned(std::span<const T> elements) {
  return elements.empty() || reinterpret_cast<std::uintptr_t>(elements.data()) % alignof(T) == 0;
}

inline Digest digest_from(const fb::Digest& stored) {
  Digest digest;
  std::memcpy(digest.bytes.data(), stored.bytes()->data(), digest.bytes.size());
  return digest;
}

inline bool is_recorded(const fb::Digest* stored) {
  return stored != nullptr && digest_from(*stored) != Digest{};
}

inline fb::Digest stored_digest(const Digest& digest) {
  fb::Digest stored;
  static_assert(sizeof stored == sizeof digest.bytes);
  std::memcpy(&stored, digest.bytes.data(), sizeof stored);
  return stored;
}

// Index, Composite, Part: nothing lies deeper.
inline constexpr flatbuffers::uoffset_t kMaxTableDepth = 3;

// Whether these bytes are a FlatBuffer of that root whose offsets all lie inside. Linear in the
// bytes: every table of an honest buffer takes four bytes and four more for the offset that leads
// to it; only where many offsets lead to one table can there be more to visit.
template <typename Root>
bool is_flatbuffer(std::span<const std::byte> bytes, const char* identifier) {
  if (bytes.size() > kMaxIndexBytes) return false;
  flatbuffers::Verifier::Options options;
  options.max_depth = kMaxTableDepth;
  options.max_tables = static_cast<flatbuffers::uoffset_t>(bytes.size() / 8);
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                                 options);
  return verifier.VerifyBuffer<Root>(identifier);
}

}  // namespace weightmap::format
