// SPDX-License-Identifier: Apache-2.0
#include "format/header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/hash.h"
#include "base/little_endian.h"
#include "format/header_fields.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

Range load_range(std::span<const std::byte> bytes, std::size_t at) {
  return {load_little<std::uint64_t>(bytes, at), load_little<std::uint64_t>(bytes, at + 8)};
}

void store_range(std::span<std::byte> bytes, std::size_t at, const Range& range) {
  store_little(bytes, at, range.offset_bytes);
  store_little(bytes, at + 8, range.size_bytes);
}

}  // namespace

// A file that ends within its header breaks R7, unless it is no weight file at all.
Result<Header> read_header(std::span<const std::byte> first_bytes, std::uint64_t file_size) {
  const HeaderInput input{first_bytes, file_size};
  const auto rules = header_rules();
  auto checked = check_rules(rules.first(1), input);
  if (checked && first_bytes.size() < kHeaderBytes) {
    checked = with_rule(7, corrupt("the file is cut short, ", file_size, " bytes"));
  }
  if (checked) checked = check_rules(rules.subspan(1), input);
  if (!checked) return checked.error().with_context("header");
  return decode_header(first_bytes);
}

Header decode_header(std::span<const std::byte> bytes) {
  Header header;
  header.minor = load_little<std::uint16_t>(bytes, kMinorAt);
  header.required_features = load_little<std::uint64_t>(bytes, kFeaturesAt);
  header.index = load_range(bytes, kIndexAt);
  header.extras = load_range(bytes, kExtrasAt);
  header.blob = load_range(bytes, kBlobAt);
  header.alignment_bytes = load_little<std::uint32_t>(bytes, kAlignmentAt);
  std::memcpy(header.index_digest.bytes.data(), bytes.data() + kIndexDigestAt, sizeof(Digest));
  return header;
}

std::array<std::byte, kHeaderBytes> write_header(const Header& header) {
  std::array<std::byte, kHeaderBytes> bytes{};
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  store_little(bytes, kMajorAt, kMajorVersion);
  store_little(bytes, kMinorAt, header.minor);
  store_little(bytes, kHeaderSizeAt, static_cast<std::uint32_t>(kHeaderBytes));
  store_little(bytes, kFeaturesAt, header.required_features);
  store_range(bytes, kIndexAt, header.index);
  store_range(bytes, kExtrasAt, header.extras);
  store_range(bytes, kBlobAt, header.blob);
  store_little(bytes, kAlignmentAt, header.alignment_bytes);
  std::ranges::copy(header.index_digest.bytes, bytes.begin() + kIndexDigestAt);
  const Digest digest = digest_of(std::span(bytes).first(kHeaderDigestAt));
  std::ranges::copy(digest.bytes, bytes.begin() + kHeaderDigestAt);
  return bytes;
}

bool is_alignment(std::uint64_t bytes, std::uint64_t smallest) {
  return std::has_single_bit(bytes) && bytes >= smallest && bytes <= kMaxAlignmentBytes;
}

}  // namespace weightmap::format
