// SPDX-License-Identifier: Apache-2.0
#include "format/file_identity.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "base/hash.h"
#include "base/little_endian.h"
#include "format/header.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

constexpr std::uint32_t kZipEnd = 0x06054B50;
constexpr std::uint32_t kZip64Locator = 0x07064B50;
constexpr std::uint32_t kZip64End = 0x06064B50;
constexpr std::size_t kZipEndBytes = 22;
constexpr std::size_t kZip64LocatorBytes = 20;
constexpr std::size_t kZip64EndBytes = 56;
constexpr std::uint64_t kZipTailBytes = kZipEndBytes + 0xFFFF;  // the longest comment follows

struct Source {
  std::uint64_t size_bytes;
  const ReadAt& read;
};

Result<Digest> digest_of_range(const Source& source, const Range& range) {
  DigestStream digest;
  std::vector<std::byte> piece(std::min<std::uint64_t>(range.size_bytes, kPieceBytes));
  for (std::uint64_t at = range.offset_bytes; at < range.end();) {
    const auto now =
        std::span(piece).first(std::min<std::uint64_t>(piece.size(), range.end() - at));
    const Result<void> read = source.read(at, now);
    if (!read) return read.error();
    digest.update(now);
    at += now.size();
  }
  return digest.finish();
}

template <std::size_t kSize>
Result<std::array<std::byte, kSize>> read_array(const Source& source, std::uint64_t offset) {
  std::array<std::byte, kSize> bytes{};
  if (!range_fits(offset, kSize, source.size_bytes)) {
    return corrupt("it ends at byte ", source.size_bytes, ", expected ", kSize, " bytes at ",
                   offset);
  }
  const Result<void> read = source.read(offset, bytes);
  if (!read) return read.error();
  return bytes;
}

Result<Range> weight_file_index(const Source& source) {
  const auto bytes = read_array<kHeaderBytes>(source, 0);
  if (!bytes) return bytes.error();
  const Result<Header> header = read_header(*bytes, source.size_bytes);
  if (!header) return header.error();
  return header->index;
}

// As FORMAT.md says where the end of a zip is: the last one whose comment fits into the file.
std::optional<std::size_t> find_zip_end(std::span<const std::byte> tail) {
  if (tail.size() < kZipEndBytes) return std::nullopt;
  for (std::size_t at = tail.size() - kZipEndBytes + 1; at-- > 0;) {
    if (load_little<std::uint32_t>(tail, at) != kZipEnd) continue;
    const auto comment_bytes = load_little<std::uint16_t>(tail, at + 20);
    if (comment_bytes <= tail.size() - at - kZipEndBytes) return at;
  }
  return std::nullopt;
}

// Where the directory begins, by the ZIP64 end where there is a locator, else by the plain one.
Result<std::uint64_t> zip_directory_begin(const Source& source,
                                          std::uint64_t end_offset,
                                          std::uint32_t said_by_end) {
  if (end_offset < kZip64LocatorBytes) return std::uint64_t{said_by_end};
  const auto locator = read_array<kZip64LocatorBytes>(source, end_offset - kZip64LocatorBytes);
  if (!locator) return locator.error();
  if (load_little<std::uint32_t>(*locator, 0) != kZip64Locator) return std::uint64_t{said_by_end};
  const auto end = read_array<kZip64EndBytes>(source, load_little<std::uint64_t>(*locator, 8));
  if (!end) return end.error();
  if (load_little<std::uint32_t>(*end, 0) != kZip64End) return corrupt("it has no ZIP64 end");
  return load_little<std::uint64_t>(*end, 48);
}

Result<Range> zip_directory(const Source& source) {
  std::vector<std::byte> tail(std::min(source.size_bytes, kZipTailBytes));
  const Result<void> read = source.read(source.size_bytes - tail.size(), tail);
  if (!read) return read.error();
  const auto at = find_zip_end(tail);
  if (!at) return corrupt("there is no zip directory at its end");
  const auto begin = zip_directory_begin(source, source.size_bytes - tail.size() + *at,
                                         load_little<std::uint32_t>(tail, *at + 16));
  if (!begin) return begin.error();
  if (*begin >= source.size_bytes) {
    return corrupt("its directory is said to begin at byte ", *begin, " of ", source.size_bytes);
  }
  const Range directory{*begin, source.size_bytes - *begin};
  if (directory.size_bytes <= kMaxZipDirectoryBytes) return directory;
  return unsupported("its directory has ", directory.size_bytes, " bytes vs ",
                     kMaxZipDirectoryBytes, " at most");
}

Result<Range> safetensors_header(const Source& source) {
  const auto length = read_array<sizeof(std::uint64_t)>(source, 0);
  if (!length) return length.error();
  const auto bytes = load_little<std::uint64_t>(*length, 0);
  if (bytes > source.size_bytes - length->size()) {
    return corrupt("its header is said to have ", bytes, " bytes, the file has ",
                   source.size_bytes);
  }
  if (bytes <= kMaxSafetensorsHeaderBytes) return Range{0, length->size() + bytes};
  return unsupported("its header has ", bytes, " bytes vs ", kMaxSafetensorsHeaderBytes,
                     " at most");
}

Result<Range> identifying_range(fb::DataFileKind kind, const Source& source) {
  switch (kind) {
    case fb::DataFileKind::wmap: return weight_file_index(source);
    case fb::DataFileKind::zip: return zip_directory(source);
    case fb::DataFileKind::safetensors: return safetensors_header(source);
    case fb::DataFileKind::self: break;
  }
  return corrupt("it is of no kind that a data file can be");
}

}  // namespace

Result<Digest> identity_of(fb::DataFileKind kind, std::uint64_t size_bytes, const ReadAt& read) {
  const Source source{size_bytes, read};
  const Result<Range> range = identifying_range(kind, source);
  if (!range) return range.error();
  return digest_of_range(source, *range);
}

std::string_view data_file_kind_name(fb::DataFileKind kind) {
  switch (kind) {
    case fb::DataFileKind::self: return "self";
    case fb::DataFileKind::wmap: return "wmap";
    case fb::DataFileKind::zip: return "zip";
    case fb::DataFileKind::safetensors: return "safetensors";
  }
  return "unknown";
}

}  // namespace weightmap::format
