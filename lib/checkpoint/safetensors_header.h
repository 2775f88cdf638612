// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weightmap/result.h"

namespace weightmap::checkpoint {

// What a safetensors header says, as it says it: nothing is checked against the file yet.
struct SafetensorsHeader {
  struct Tensor {
    std::string name;
    std::string dtype;
    std::uint32_t dims_begin = 0;  // in `dims`
    std::uint32_t rank = 0;
    std::uint64_t begin_bytes = 0;  // in the data
    std::uint64_t end_bytes = 0;
  };

  std::vector<Tensor> tensors;  // in the order of the text; names may repeat
  std::vector<std::int64_t> dims;
  std::optional<std::vector<std::pair<std::string, std::string>>> metadata;

  std::span<const std::int64_t> shape(const Tensor& tensor) const {
    return std::span(dims).subspan(tensor.dims_begin, tensor.rank);
  }
};

// Errors: kCorrupt, kUnsupported. Messages name the tensor, not the file.
Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> text);

}  // namespace weightmap::checkpoint
