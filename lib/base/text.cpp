// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "base/escaped.h"

namespace weightmap {
namespace {

constexpr std::size_t kQuotedLimit = 200;
constexpr std::string_view kDigits = "0123456789abcdef";

unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0U) == 0x80U;
}

// The first value that a sequence of this length may encode: shorter forms are not UTF-8.
constexpr std::array<std::uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};

bool is_scalar_value(std::uint32_t value, std::size_t length) {
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value >= kSmallest[length] && value <= 0x10FFFF && !surrogate;
}

// REQUIRES: a sequence of that length, by its first byte.
std::uint32_t value_of(std::string_view sequence) {
  const unsigned char lead = byte_at(sequence, 0);
  if (sequence.size() == 1) return lead;
  std::uint32_t value = lead & (0x7FU >> sequence.size());
  for (std::size_t i = 1; i < sequence.size(); ++i)
    value = value << 6U | (byte_at(sequence, i) & 0x3FU);
  return value;
}

// Length of the valid sequence that starts at `at`; 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const unsigned char lead = byte_at(text, at);
  if (lead < 0x80) return 1;
  const auto length = static_cast<std::size_t>(std::countl_one(lead));
  if (length < 2 || length > 4 || text.size() - at < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(byte_at(text, at + i))) return 0;
  }
  return is_scalar_value(value_of(text.substr(at, length)), length) ? length : 0;
}

bool is_ascii(const char* text, std::size_t size) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  std::uint64_t seen = 0;
  for (std::size_t at = 0; at < size; at += sizeof seen) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text + at, sizeof eight);
    seen |= eight;
  }
  return (seen & kHighBits) == 0;
}

// How many bytes from `at` on are surely ASCII, a block at a time: nearly every name is nothing
// else.
std::size_t ascii_run(std::string_view text, std::size_t at) {
  constexpr std::size_t kBlock = 64;
  const std::size_t start = at;
  while (text.size() - at >= kBlock && is_ascii(text.data() + at, kBlock))
    at += kBlock;
  while (text.size() - at >= 8 && is_ascii(text.data() + at, 8))
    at += 8;
  return at - start;
}

// What takes no place or changes that of others: Unicode's control characters and separators of
// lines, its Default_Ignorable_Code_Point (bidirectional controls, zero-width characters, selectors
// of variants, tags) and interlinear annotations.
struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
constexpr Range kUnseen[] = {
    {0x00, 0x1F},     {0x7F, 0x9F},       {0xAD, 0xAD},       {0x34F, 0x34F},     {0x61C, 0x61C},
    {0x115F, 0x1160}, {0x17B4, 0x17B5},   {0x180B, 0x180F},   {0x200B, 0x200F},   {0x2028, 0x202E},
    {0x2060, 0x206F}, {0x3164, 0x3164},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
    {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
};

bool is_printable(std::string_view sequence) {
  const std::uint32_t value = value_of(sequence);
  const auto range = std::ranges::lower_bound(kUnseen, value, {}, &Range::last);
  return range == std::end(kUnseen) || value < range->first;
}

void append_escaped(std::string& out, unsigned char byte) {
  out += "\\x";
  out += kDigits[byte >> 4U];
  out += kDigits[byte & 15U];
}

// The character at a place, escaped where it is not printable or is `special`. Its bytes.
std::size_t append_shown(std::string& out, std::string_view text, std::size_t at, char special) {
  const std::size_t length = sequence_length(text, at);
  const std::string_view piece = text.substr(at, std::max<std::size_t>(length, 1));
  if (length > 0 && is_printable(piece) && piece[0] != special) {
    out += piece;
  } else {
    for (std::size_t i = 0; i < piece.size(); ++i)
      append_escaped(out, byte_at(piece, i));
  }
  return piece.size();
}

}  // namespace

// The highest bit is set in what is not ASCII, or, one below it, in NUL. Not left early: so
// compilers look at many bytes at once.
bool is_plain_ascii(std::string_view text) {
  unsigned char seen = 0;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    seen = static_cast<unsigned char>(seen | byte | (byte - 1U));
  }
  return seen < 0x80;
}

bool is_valid_utf8(std::string_view text) {
  std::size_t at = ascii_run(text, 0);
  while (at < text.size()) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string quoted(std::string_view name) {
  std::string out = "`";
  std::size_t at = 0;
  while (at < name.size() && at < kQuotedLimit)
    at += append_shown(out, name, at, '`');
  if (at < name.size()) out += "...";
  return out + "`";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();)
    at += append_shown(out, text, at, '\0');
  return out;
}

std::string list_text(std::span<const std::int64_t> numbers) {
  std::string out = "[";
  for (const std::int64_t number : numbers) {
    if (out.size() > 1) out += ", ";
    append_piece(out, number);
  }
  return out + "]";
}

}  // namespace weightmap
