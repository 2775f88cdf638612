// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

namespace weightmap::convert {

// How safetensors calls a dtype. `rank` orders tensors: the reference library writes higher ones
// first. Nothing has an empty name: no such dtype.
struct SafetensorsDtype {
  std::string_view name;
  int rank = 0;
};
SafetensorsDtype safetensors_dtype(Dtype dtype);

// The shape as safetensors has it: of F4 it counts values, of which PyTorch's shape packs two into
// one. Nothing: it cannot say it.
std::optional<std::vector<std::int64_t>> safetensors_shape(Dtype dtype,
                                                           std::span<const std::int64_t> shape);

struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;  // as PyTorch has it; safetensors can say it
  std::uint64_t begin_bytes = 0;    // from where the header ends
  std::uint64_t end_bytes = 0;
};

// The eight bytes of the length and the JSON object, padded with spaces so that it ends at a
// multiple of the alignment. Errors: kUnsupported for more than the reference library takes.
Result<std::string> safetensors_header(
    const std::vector<std::pair<std::string, std::string>>& metadata,
    const std::vector<SafetensorsEntry>& entries,
    std::uint64_t alignment_bytes);

}  // namespace weightmap::convert
