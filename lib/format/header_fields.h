// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// Where the header's fields lie (FORMAT.md 2.1).
namespace weightmap::format {

inline constexpr std::size_t kMagicAt = 0;
inline constexpr std::size_t kMajorAt = 8;
inline constexpr std::size_t kMinorAt = 10;
inline constexpr std::size_t kHeaderSizeAt = 12;
inline constexpr std::size_t kFeaturesAt = 16;
inline constexpr std::size_t kIndexAt = 24;
inline constexpr std::size_t kExtrasAt = 40;
inline constexpr std::size_t kBlobAt = 56;
inline constexpr std::size_t kAlignmentAt = 72;
inline constexpr std::size_t kReservedAt = 76;
inline constexpr std::size_t kIndexDigestAt = 96;
inline constexpr std::size_t kHeaderDigestAt = 112;

inline constexpr unsigned char kMagic[] = {0x89, 'W', 'M', 'A', 'P', '\r', '\n', 0x1a};

}  // namespace weightmap::format
