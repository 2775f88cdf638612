// SPDX-License-Identifier: Apache-2.0
// The header of a member: POSIX.1-2017, pax, "ustar Interchange Format".
#include "checkpoint/tar_archive.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "base/checked.h"
#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint64_t kBlockBytes = 512;
constexpr std::size_t kNameBytes = 100;
constexpr std::size_t kSizeAt = 124;
constexpr std::size_t kSizeBytes = 12;
constexpr std::size_t kChecksumAt = 148;
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kTypeAt = 156;

using Block = std::array<std::byte, kBlockBytes>;

std::string_view text_of(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

// Octal digits between spaces and zeros.
std::optional<std::uint64_t> octal(std::string_view text) {
  while (text.starts_with(' '))
    text.remove_prefix(1);
  while (text.ends_with(' '))
    text.remove_suffix(1);
  std::uint64_t number = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') return std::nullopt;
    number = number * 8 + static_cast<unsigned>(digit - '0');  // at most 12 digits
  }
  return number;
}

// GNU's way for sizes from 8 GiB on: the first bit set, then a big-endian number.
std::optional<std::uint64_t> size_of(const Block& header) {
  const auto field = std::span(header).subspan(kSizeAt, kSizeBytes);
  if ((field[0] & std::byte{0x80}) == std::byte{}) return octal(text_of(field));
  const auto high = field.subspan(1, 3);
  const bool is_small = field[0] == std::byte{0x80} && std::ranges::count(high, std::byte{}) == 3;
  if (!is_small) return std::nullopt;
  std::uint64_t number = 0;
  for (const std::byte byte : field.subspan(4))
    number = number << 8U | std::to_integer<std::uint64_t>(byte);
  return number;
}

// The sum of the header's bytes, its own place counted as spaces.
bool has_checksum(const Block& header) {
  const auto field = std::span(header).subspan(kChecksumAt, kChecksumBytes);
  std::uint64_t sum = kChecksumBytes * ' ';
  for (const std::byte byte : header)
    sum += std::to_integer<unsigned>(byte);
  for (const std::byte byte : field)
    sum -= std::to_integer<unsigned>(byte);
  return octal(text_of(field)) == sum;
}

bool is_end(const Block& header) {
  return std::ranges::all_of(header, [](std::byte byte) { return byte == std::byte{}; });
}

bool is_regular(const Block& header) {
  const auto type = std::to_integer<char>(header[kTypeAt]);
  return type == '0' || type == '\0';
}

}  // namespace

Result<std::vector<TarMember>> read_tar(const io::File& file) {
  const auto corrupt = [&](std::uint64_t at, std::string_view problem) {
    return Error(ErrorCode::kCorrupt,
                 concat(file.path(), ": tar: the header at byte ", at, " ", problem));
  };
  std::vector<TarMember> members;
  std::size_t header_count = 0;
  for (std::uint64_t at = 0; range_fits(at, kBlockBytes, file.size_bytes());) {
    Block header{};
    if (auto read = file.read_at(at, header); !read) return read.error();
    if (is_end(header)) break;
    if (++header_count > kMaxTarMembers) {
      return Error(ErrorCode::kUnsupported,
                   concat(file.path(), ": tar: more than ", kMaxTarMembers, " members"));
    }
    if (!has_checksum(header)) return corrupt(at, "differs from its checksum");
    const auto size = size_of(header);
    if (!size) return corrupt(at, "has a size that is no number");
    const std::uint64_t data = at + kBlockBytes;
    if (!range_fits(data, *size, file.size_bytes())) {
      return corrupt(at, concat("is of ", *size, " bytes, the file is cut short: it has ",
                                file.size_bytes(), " bytes"));
    }
    if (is_regular(header)) {
      members.push_back({.name = std::string(text_of(std::span(header).first(kNameBytes))),
                         .offset_bytes = data,
                         .size_bytes = *size});
    }
    at = data + (*size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  }
  return members;
}

}  // namespace weightmap::checkpoint
