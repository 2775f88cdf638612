// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "weightmap/digest.h"
#include "weightmap/result.h"

// The first 128 bytes of a weight file (FORMAT.md 2.1).
namespace weightmap::format {

inline constexpr std::size_t kHeaderBytes = 128;
inline constexpr std::uint16_t kMajorVersion = 1;
inline constexpr std::uint16_t kMinorVersion = 0;
inline constexpr std::uint64_t kMinAlignmentBytes = 64;
inline constexpr std::uint64_t kMaxAlignmentBytes = 2U << 20U;
inline constexpr std::uint64_t kMaxIndexBytes = (1U << 31U) - 2;  // of the extras too

// FORMAT.md 2.2.
inline constexpr std::uint64_t kFeatureComposites = 1;
inline constexpr std::uint64_t kFeatureConjNeg = 2;
inline constexpr std::uint64_t kFeatureDataFiles = 4;
inline constexpr std::uint64_t kFeaturePackedDtypes = 8;
inline constexpr std::uint64_t kKnownFeatures = 15;

struct Range {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t end() const { return offset_bytes + size_bytes; }  // REQUIRES: checked by a rule
  friend bool operator==(const Range&, const Range&) = default;
};

struct Header {
  std::uint16_t minor = kMinorVersion;
  std::uint64_t required_features = 0;
  Range index;
  Range extras;
  Range blob;
  std::uint32_t alignment_bytes = kMinAlignmentBytes;
  Digest index_digest;
};

// Checks R1 to R7; messages begin with "header: ". Errors: kWrongKind (R1; the message names what
// the file is instead), kUnsupported (R3, R4), kCorrupt.
// REQUIRES: first_bytes are the file's first min(file_size, kFileKindBytes) bytes or more.
Result<Header> read_header(std::span<const std::byte> first_bytes, std::uint64_t file_size);

// The bytes of a header, its digest included. The opposite of read_header.
std::array<std::byte, kHeaderBytes> write_header(const Header& header);

// The header that these bytes say, checked or not. REQUIRES: kHeaderBytes or more.
Header decode_header(std::span<const std::byte> bytes);

// Whether this is an alignment from `smallest` to kMaxAlignmentBytes that the format knows.
bool is_alignment(std::uint64_t bytes, std::uint64_t smallest);

}  // namespace weightmap::format
