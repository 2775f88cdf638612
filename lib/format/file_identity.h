// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "weightmap_generated.h"

// What a data file beside a weight file is recognised by (FORMAT.md 3): a digest of the part of it
// that stands for the whole and is cheap to read.
namespace weightmap::format {

inline constexpr std::uint64_t kMaxZipDirectoryBytes = std::uint64_t{256} << 20U;
inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// Fills `into` with the bytes of the file from `offset` on.
using ReadAt = std::function<Result<void>(std::uint64_t offset, std::span<std::byte> into)>;

// Memory: a constant; reads no more than the limits above or an index's. Errors: those of `read`;
// kCorrupt for what is no such file, kUnsupported beyond the limits. REQUIRES: kind is not self.
Result<Digest> identity_of(fb::DataFileKind kind, std::uint64_t size_bytes, const ReadAt& read);

std::string_view data_file_kind_name(fb::DataFileKind kind);  // "zip"

}  // namespace weightmap::format
