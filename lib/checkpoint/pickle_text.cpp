// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/pickle_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kMostDigits = 4300;
constexpr std::uint32_t kLastCharacter = 0x10FFFF;

// REQUIRES: at most kLastCharacter. Half of a surrogate pair comes out as Python has it, too.
void append_utf8(std::uint32_t character, std::string& to) {
  const auto tail = [&](unsigned shift) {
    return static_cast<char>(0x80U | (character >> shift & 0x3FU));
  };
  if (character < 0x80) {
    to += static_cast<char>(character);
  } else if (character < 0x800) {
    to += {static_cast<char>(0xC0U | character >> 6U), tail(0)};
  } else if (character < 0x10000) {
    to += {static_cast<char>(0xE0U | character >> 12U), tail(6), tail(0)};
  } else {
    to += {static_cast<char>(0xF0U | character >> 18U), tail(12), tail(6), tail(0)};
  }
}

// All of the text must be digits.
std::optional<std::uint32_t> number_of(std::string_view digits, int base) {
  std::uint32_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, problem] = std::from_chars(digits.data(), end, value, base);
  const bool is_number = !digits.empty() && problem == std::errc() && rest == end;
  return is_number ? std::optional(value) : std::nullopt;
}

// After a backslash. Returns how many characters it takes; 0: there is no such escape.
std::size_t append_escape(std::string_view rest, std::string& to) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  if (rest.empty()) return 0;
  if (const auto letter = kLetters.find(rest[0]); letter != std::string_view::npos) {
    to += kMeanings[letter];
    return 1;
  }
  const bool is_hex = rest[0] == 'x';
  const std::string_view digits = is_hex ? rest.substr(1, 2) : rest.substr(0, 3);
  const auto value = number_of(digits, is_hex ? 16 : 8);
  if (!value || *value > 0xFF || digits.size() != (is_hex ? 2U : 3U)) return 0;
  to += static_cast<char>(*value);
  return 3;
}

}  // namespace

// A backslash counts when an even number of others stands before it.
std::optional<std::string> from_raw_unicode(std::string_view line) {
  std::string text;
  bool is_escaped = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char letter = i + 1 < line.size() ? line[i + 1] : '\0';
    if (line[i] != '\\' || is_escaped || (letter != 'u' && letter != 'U')) {
      is_escaped = line[i] == '\\' && !is_escaped;
      append_utf8(static_cast<unsigned char>(line[i]), text);
      continue;
    }
    const std::size_t count = letter == 'u' ? 4 : 8;
    const std::string_view digits = line.substr(i + 2, count);
    const auto character = number_of(digits, 16);
    if (!character || digits.size() != count || *character > kLastCharacter) return std::nullopt;
    append_utf8(*character, text);
    i += 1 + count;
  }
  return text;
}

std::optional<std::string> from_python2_repr(std::string_view line) {
  const bool is_quoted = line.size() >= 2 && line.front() == line.back() &&
                         (line.front() == '\'' || line.front() == '"');
  if (!is_quoted) return std::nullopt;
  line = line.substr(1, line.size() - 2);
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      text += line[i];
      continue;
    }
    const std::size_t taken = append_escape(line.substr(i + 1), text);
    if (taken == 0) return std::nullopt;
    i += taken;
  }
  return text;
}

std::optional<std::string> from_decimal(std::string_view digits) {
  const bool is_negative = digits.starts_with('-');
  if (is_negative) digits.remove_prefix(1);
  const bool are_digits = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (digits.empty() || digits.size() > kMostDigits || !are_digits) return std::nullopt;
  constexpr std::size_t kAtOnce = 9;
  std::vector<std::uint32_t> limbs;  // little-endian
  while (!digits.empty()) {
    const std::size_t count = (digits.size() - 1) % kAtOnce + 1;
    std::uint64_t carry = *number_of(digits.substr(0, count), 10);
    std::uint64_t factor = 1;
    for (std::size_t i = 0; i < count; ++i)
      factor *= 10;
    for (std::uint32_t& limb : limbs) {
      carry += limb * factor;
      limb = static_cast<std::uint32_t>(carry);
      carry >>= 32U;
    }
    if (carry > 0) limbs.push_back(static_cast<std::uint32_t>(carry));
    digits.remove_prefix(count);
  }
  limbs.push_back(0);  // the sign
  std::string bytes;
  unsigned carry = is_negative ? 1 : 0;
  for (const std::uint32_t limb : limbs) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      carry += (limb >> shift & 0xFFU) ^ (is_negative ? 0xFFU : 0U);
      bytes += static_cast<char>(carry);
      carry >>= 8U;
    }
  }
  return bytes;
}

}  // namespace weightmap::checkpoint
