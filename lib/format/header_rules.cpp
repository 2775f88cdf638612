// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/file_kind.h"
#include "base/hash.h"
#include "base/little_endian.h"
#include "base/text.h"
#include "format/header_fields.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

// R1
Result<void> check_magic(const HeaderInput& input) {
  const bool right = input.bytes.size() >= sizeof kMagic &&
                     std::memcmp(input.bytes.data(), kMagic, sizeof kMagic) == 0;
  if (right) return {};
  const FileKind kind = detect_file_kind(input.bytes);
  return Error(ErrorCode::kWrongKind, concat("not a weight file, it is ", file_kind_text(kind)));
}

// R2
Result<void> check_header_digest(const HeaderInput& input) {
  Digest recorded;
  std::memcpy(recorded.bytes.data(), input.bytes.data() + kHeaderDigestAt, sizeof recorded);
  const Digest found = digest_of(input.bytes.first(kHeaderDigestAt));
  if (found == recorded) return {};
  return corrupt("the header is damaged, digest ", found.hex(), " vs ", recorded.hex());
}

// R3
Result<void> check_version(const HeaderInput& input) {
  const unsigned major = load_little<std::uint16_t>(input.bytes, kMajorAt);
  const auto size = load_little<std::uint32_t>(input.bytes, kHeaderSizeAt);
  if (major != kMajorVersion) {
    return unsupported("format version ", major, " is not known, only 1 is");
  }
  if (size == kHeaderBytes) return {};
  return unsupported("the header's size is not that of version 1, ", size, " vs ", kHeaderBytes);
}

// R4
Result<void> check_known_features(const HeaderInput& input) {
  const std::uint64_t features = decode_header(input.bytes).required_features;
  if ((features & ~kKnownFeatures) == 0) return {};
  return unsupported("the file requires features that are not known, ", features, " vs bits of ",
                     kKnownFeatures);
}

// R5
Result<void> check_reserved(const HeaderInput& input) {
  const auto reserved = input.bytes.subspan(kReservedAt, kIndexDigestAt - kReservedAt);
  const auto bad = std::ranges::find_if(reserved, [](std::byte b) { return b != std::byte{0}; });
  if (bad == reserved.end()) return {};
  return corrupt("reserved byte ", kReservedAt + static_cast<std::size_t>(bad - reserved.begin()),
                 " is ", std::to_integer<unsigned>(*bad), " vs 0");
}

// R6
Result<void> check_alignment(const HeaderInput& input) {
  const std::uint32_t alignment = decode_header(input.bytes).alignment_bytes;
  if (is_alignment(alignment, kMinAlignmentBytes)) return {};
  return corrupt("the alignment is ", alignment, " vs a power of two from ", kMinAlignmentBytes,
                 " to ", kMaxAlignmentBytes);
}

Result<void> check_place(std::string_view what, const Range& range, std::uint64_t expected) {
  if (range.offset_bytes != expected) {
    return corrupt(what, "_offset is ", range.offset_bytes, " vs ", expected);
  }
  if (range.size_bytes >= 1 && range.size_bytes <= kMaxIndexBytes) return {};
  return corrupt(what, "_size is ", range.size_bytes, " vs 1 to ", kMaxIndexBytes);
}

// R7. No sum can wrap: each begins at a place that was checked, with a size below 2^31.
Result<void> check_places(const HeaderInput& input) {
  const Header header = decode_header(input.bytes);
  const auto index = check_place("index", header.index, kHeaderBytes);
  if (!index) return index.error();
  const auto extras_at = checked_align_up(header.index.end(), 8);
  const auto extras = check_place("extras", header.extras, *extras_at);
  if (!extras) return extras.error();
  const auto blob_at = checked_align_up(header.extras.end(), header.alignment_bytes);
  if (header.blob.offset_bytes != *blob_at) {
    return corrupt("blob_offset is ", header.blob.offset_bytes, " vs ", *blob_at);
  }
  const auto blob_end = checked_add(header.blob.offset_bytes, header.blob.size_bytes);
  if (!blob_end) return corrupt("blob_size is ", header.blob.size_bytes, ", past 2^64");
  if (*blob_end == input.file_size) return {};
  return corrupt(*blob_end > input.file_size ? "the file is cut short, " : "the file is too long, ",
                 input.file_size, " bytes vs ", *blob_end);
}

constexpr Rule<HeaderInput> kRules[] = {
    {1, check_magic},    {2, check_header_digest}, {3, check_version}, {4, check_known_features},
    {5, check_reserved}, {6, check_alignment},     {7, check_places},
};

}  // namespace

std::span<const Rule<HeaderInput>> header_rules() {
  return kRules;
}

}  // namespace weightmap::format
