// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "support/built_file.h"
#include "support/file_bytes.h"

namespace weightmap::tests {

// A weight file of float32 tensors `t0`, `t1` ... of as many bytes as given, each byte of the n-th
// being n + 1: what is missing, zero or another's is seen.
inline std::string patterned_model(const std::vector<std::size_t>& sizes_bytes) {
  format::Content content;
  std::vector<std::vector<std::byte>> segments;
  for (std::uint32_t i = 0; i < sizes_bytes.size(); ++i) {
    content.tensors.push_back(
        tensor_in(i, "t" + std::to_string(i), {static_cast<std::int64_t>(sizes_bytes[i] / 4)}));
    segments.emplace_back(sizes_bytes[i], static_cast<std::byte>(i + 1));
  }
  return std::string(text_of(build_file(content, segments)->bytes()));
}

// A weight file with a tensor `own` of two floats, whose `t0` is that of a patterned model, which
// lies beside it under `name`.
inline std::string model_over(std::string_view base,
                              const std::string& name,
                              std::size_t t0_bytes) {
  const std::string t0(t0_bytes, '\1');
  format::Content content;
  content.tensors = {tensor_in(0, "own", {2}),
                     tensor_in(1, "t0", {static_cast<std::int64_t>(t0_bytes / 4)})};
  format::DataFileContent file{.name = name,
                               .kind = fb::DataFileKind::wmap,
                               .size_bytes = base.size(),
                               .alignment_bytes = 64,
                               .segments = {{base.find(t0), t0_bytes}}};
  // A weight file's identity is the digest of its index, which its header has at byte 96.
  std::ranges::copy(bytes_of(base).subspan(96, 16), file.identity.bytes.begin());
  content.data_files = {std::move(file)};
  const auto own = bytes_of(std::vector<float>{7, 8});
  return std::string(text_of(build_file(content, {own}, {digest_of(bytes_of(t0))})->bytes()));
}

}  // namespace weightmap::tests
