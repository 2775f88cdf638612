// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "io/file.h"

namespace weightmap::io {

// What may be replaced.
struct TargetRule {
  std::string_view kind;                                    // "a weight file"
  bool (*is_kind)(std::span<const std::byte> first_bytes);  // of at most kFileKindBytes
  bool replace_any = false;
  std::vector<FileIdentity> sources;  // what the bytes come from, which nothing replaces
};

bool is_weight_file(std::span<const std::byte> first_bytes);
bool is_torch_zip(std::span<const std::byte> first_bytes);
bool is_safetensors(std::span<const std::byte> first_bytes);

// A target that exists must be of the kind, or the caller's wish; never a source itself.
// Errors: kExists, kInvalidArgument, kIo. Messages begin with the target.
Result<void> check_target(const std::string& target, const TargetRule& rule);

}  // namespace weightmap::io
