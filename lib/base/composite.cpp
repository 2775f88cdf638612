// SPDX-License-Identifier: Apache-2.0
#include "weightmap/composite.h"

#include <array>
#include <cstddef>

namespace weightmap {
namespace {

constexpr std::array<std::string_view, kCompositeKindCount> kNames = {
    "quantized_per_tensor",
    "quantized_per_channel",
    "quantized_per_channel_float",
    "sparse_coo",
    "sparse_csr",
    "sparse_csc",
    "sparse_bsr",
    "sparse_bsc",
    "nested",
    "wrapper_subclass",
};

}  // namespace

std::string_view composite_kind_name(CompositeKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace weightmap
