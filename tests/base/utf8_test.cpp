// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "base/text.h"

namespace weightmap {
namespace {

using namespace std::string_view_literals;

// The Unicode Standard, table 3-7: the well-formed byte sequences, and nothing else is one.
struct Range {
  unsigned low, high;
};
constexpr Range kTail{0x80, 0xBF};
const std::vector<std::vector<Range>> kWellFormed = {
    {{0x00, 0x7F}},
    {{0xC2, 0xDF}, kTail},
    {{0xE0, 0xE0}, {0xA0, 0xBF}, kTail},
    {{0xE1, 0xEC}, kTail, kTail},
    {{0xED, 0xED}, {0x80, 0x9F}, kTail},
    {{0xEE, 0xEF}, kTail, kTail},
    {{0xF0, 0xF0}, {0x90, 0xBF}, kTail, kTail},
    {{0xF1, 0xF3}, kTail, kTail, kTail},
    {{0xF4, 0xF4}, {0x80, 0x8F}, kTail, kTail},
};

bool begins_with(std::string_view text, const std::vector<Range>& sequence) {
  return text.size() >= sequence.size() &&
         std::equal(sequence.begin(), sequence.end(), text.begin(), [](Range range, char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte >= range.low && byte <= range.high;
         });
}

bool is_well_formed(std::string_view text) {
  while (!text.empty()) {
    const auto found = std::ranges::find_if(
        kWellFormed, [&](const auto& sequence) { return begins_with(text, sequence); });
    if (found == kWellFormed.end()) return false;
    text.remove_prefix(found->size());
  }
  return true;
}

std::string hex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    digits += {kDigits[byte >> 4U], kDigits[byte & 15U], ' '};
  }
  return digits;
}

// Returns how many of the strings are judged otherwise than by the standard's table.
int disagreements(const std::string& prefix, const std::vector<unsigned>& bytes, int depth) {
  if (is_valid_utf8(prefix) != is_well_formed(prefix)) {
    MESSAGE("judged wrongly: ", hex(prefix));
    return 1;
  }
  int found = 0;
  for (std::size_t i = 0; depth > 0 && i < bytes.size(); ++i) {
    found += disagreements(prefix + static_cast<char>(bytes[i]), bytes, depth - 1);
  }
  return found;
}

TEST_SUITE_BEGIN("base/utf8");

TEST_CASE("every one or two bytes are judged as the standard's table has them") {
  std::vector<unsigned> all(256);
  for (unsigned i = 0; i < 256; ++i)
    all[i] = i;
  CHECK(disagreements("", all, 2) == 0);
}

TEST_CASE("sequences at every border of the table are judged as it has them") {
  const std::vector<unsigned> borders = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                         0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                         0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
  CHECK(disagreements("", borders, 4) == 0);
}

TEST_CASE("what is no UTF-8 is refused, wherever it stands") {
  const std::string_view broken[] = {
      "\x80"sv,              // a tail without a head
      "\xC3"sv,              // cut short
      "\xE2\x82"sv,          //
      "\xF0\x9F\x98"sv,      //
      "\xC0\xAF"sv,          // longer than need be
      "\xE0\x80\xAF"sv,      //
      "\xF0\x80\x80\xAF"sv,  //
      "\xED\xA0\x80"sv,      // surrogates
      "\xED\xBF\xBF"sv,      //
      "\xF4\x90\x80\x80"sv,  // beyond U+10FFFF
      "\xF8\x88\x80\x80\x80"sv,
      "\xFE"sv,
      "\xFF"sv,
  };
  for (const std::string_view piece : broken) {
    CAPTURE(hex(piece));
    for (std::size_t before = 0; before < 150; ++before) {
      CAPTURE(before);
      const std::string text = std::string(before, 'a') + std::string(piece);
      CHECK_FALSE(is_valid_utf8(text));
      CHECK_FALSE(is_valid_utf8(text + std::string(100, 'b')));
    }
  }
}

TEST_CASE("text of any script is UTF-8, and so are NUL and nothing") {
  CHECK(is_valid_utf8(""));
  CHECK(is_valid_utf8("\0"sv));
  CHECK(is_valid_utf8("layers.10.self_attn.q_proj.weight"));
  CHECK(is_valid_utf8("caf\xC3\xA9"));
  CHECK(is_valid_utf8("\xE6\xBC\xA2\xE5\xAD\x97 after 8 more ASCII bytes"));
  CHECK(is_valid_utf8("12345678\xF0\x9F\x98\x80"));
  CHECK(is_valid_utf8("\xEF\xBF\xBF"));
  CHECK(is_valid_utf8("\xF4\x8F\xBF\xBF"));
}

TEST_CASE("every byte but NUL and those beyond ASCII is plain, wherever it stands") {
  CHECK(is_plain_ascii(""));
  for (unsigned value = 0; value < 256; ++value) {
    for (const std::size_t size : {1U, 15U, 16U, 64U, 150U}) {
      for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
        std::string text(size, 'a');
        text[at] = static_cast<char>(value);
        CAPTURE(value);
        CHECK(is_plain_ascii(text) == (value > 0 && value < 128));
      }
    }
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
