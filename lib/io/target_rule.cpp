// SPDX-License-Identifier: Apache-2.0
#include "io/target_rule.h"

#include <algorithm>
#include <array>

#include "base/file_kind.h"
#include "base/little_endian.h"
#include "base/text.h"

namespace weightmap::io {

bool is_weight_file(std::span<const std::byte> first_bytes) {
  return detect_file_kind(first_bytes) == FileKind::kWeightFile;
}

bool is_safetensors(std::span<const std::byte> first_bytes) {
  return detect_file_kind(first_bytes) == FileKind::kSafetensors;
}

// torch.save writes `<root>/data.pkl` first.
bool is_torch_zip(std::span<const std::byte> first_bytes) {
  constexpr std::size_t kNameSizePlace = 26;
  constexpr std::size_t kNamePlace = 30;
  if (detect_file_kind(first_bytes) != FileKind::kZip || first_bytes.size() < kNamePlace) {
    return false;
  }
  const auto size = load_little<std::uint16_t>(first_bytes, kNameSizePlace);
  if (first_bytes.size() - kNamePlace < size) return false;
  const auto name = first_bytes.subspan(kNamePlace, size);
  return std::string_view(reinterpret_cast<const char*>(name.data()), name.size())
      .ends_with("/data.pkl");
}

Result<void> check_target(const std::string& target, const TargetRule& rule) {
  const Result<File> existing = File::open(target);
  if (!existing) {
    if (existing.error().code() == ErrorCode::kNotFound) return {};
    return existing.error();
  }
  if (std::ranges::find(rule.sources, existing->identity()) != rule.sources.end()) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(target, ": source and target are the same file"));
  }
  std::array<std::byte, kFileKindBytes> first{};
  const auto size = std::min<std::uint64_t>(first.size(), existing->size_bytes());
  const std::span<std::byte> bytes(first.data(), size);
  const Result<void> read = existing->read_at(0, bytes);
  if (!read) return read.error();
  if (rule.replace_any || rule.is_kind(bytes)) return {};
  return Error(ErrorCode::kExists,
               concat(target, ": exists and is ", file_kind_text(detect_file_kind(bytes)), ", not ",
                      rule.kind));
}

}  // namespace weightmap::io
