// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/target_file.h"
#include "support/file_bytes.h"
#include "support/golden_files.h"

namespace weightmap::tests {

// Names, and the bytes that stand under each.
using PlainModel = std::vector<std::pair<std::string, std::string>>;

// A weight file of such tensors, of dtype uint8 and each with a segment of its own.
inline void write_plain_model(const std::string& path,
                              const PlainModel& model,
                              std::uint32_t alignment_bytes = 64) {
  WholeContent whole;
  whole.content.alignment_bytes = alignment_bytes;
  whole.content.producer = producer_name();
  std::vector<std::uint32_t> items;
  for (const auto& [name, bytes] : model) {
    const auto number = static_cast<std::uint32_t>(whole.segments.size());
    whole.content.tensors.push_back({.name = name,
                                     .dtype = Dtype::kUInt8,
                                     .segment = number,
                                     .shape = {static_cast<std::int64_t>(bytes.size())},
                                     .strides = {1}});
    const auto span = bytes_of(bytes);
    whole.segments.emplace_back(span.begin(), span.end());
    items.push_back(whole.content.values.add_text(ValueKind::kStr, name));
    items.push_back(whole.content.values.add_number(ValueKind::kTensor, number));
  }
  whole.content.values.add_parent(ValueKind::kDict, items);
  write_file(path, text_of(encode_file(std::move(whole))));
}

}  // namespace weightmap::tests
