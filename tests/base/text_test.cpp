// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/escaped.h"

namespace weightmap {
namespace {

using namespace std::string_view_literals;

TEST_SUITE_BEGIN("base/text");

TEST_CASE("a message is put together from text and numbers") {
  CHECK(concat().empty());
  CHECK(concat("ends at byte ", 8192, " of ", std::string("x"), "y"sv) ==
        "ends at byte 8192 of xy");
  CHECK(concat(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(concat(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(concat(std::uint8_t{200}, " ", std::int8_t{-5}, " ", std::size_t{0}) == "200 -5 0");
}

TEST_CASE("a shape reads as in Python") {
  CHECK(list_text({}) == "[]");
  CHECK(list_text(std::vector<std::int64_t>{3}) == "[3]");
  CHECK(list_text(std::vector<std::int64_t>{3, -4, 0}) == "[3, -4, 0]");
}

TEST_CASE("a name in a message cannot act on a terminal or forge the message") {
  struct Row {
    std::string_view name;
    std::string_view quoted;
  };
  const Row rows[] = {
      {""sv, "``"sv},
      {"layers.0.weight"sv, "`layers.0.weight`"sv},
      {"with space"sv, "`with space`"sv},
      {"caf\xC3\xA9 \xE6\xBC\xA2 \xF0\x9F\x98\x80"sv,
       "`caf\xC3\xA9 \xE6\xBC\xA2 \xF0\x9F\x98\x80`"sv},
      {"a\nb\tc\r"sv, "`a\\x0ab\\x09c\\x0d`"sv},
      {"nul\0in it"sv, "`nul\\x00in it`"sv},
      {"\x1b[2J"sv, "`\\x1b[2J`"sv},
      {"\x7f"sv, "`\\x7f`"sv},
      {"\xC2\x9B"
       "2J"sv,
       "`\\xc2\\x9b2J`"sv},
      {"\xC2\xA0"sv, "`\xC2\xA0`"sv},
      {"a\u202Eb\u2066c\u061C"sv, R"(`a\xe2\x80\xaeb\xe2\x81\xa6c\xd8\x9c`)"sv},
      {"we\u200Bight\u00AD\uFEFF"sv, R"(`we\xe2\x80\x8bight\xc2\xad\xef\xbb\xbf`)"sv},
      {"\u2028\U000E0041\uFE0F"sv, R"(`\xe2\x80\xa8\xf3\xa0\x81\x81\xef\xb8\x8f`)"sv},
      {"\u2027\u2030\u4E00"sv, "`\u2027\u2030\u4E00`"sv},
      {"end`: forged"sv, "`end\\x60: forged`"sv},
      {"\xff\xfe"sv, "`\\xff\\xfe`"sv},
      {"cut \xE6\xBC"sv, "`cut \\xe6\\xbc`"sv},
      {"\xC0\x80"sv, "`\\xc0\\x80`"sv},
      {"\xED\xA0\x80"sv, "`\\xed\\xa0\\x80`"sv},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.quoted));
    CHECK(quoted(row.name) == row.quoted);
  }
}

TEST_CASE("a text is escaped whole, and its backquotes stay") {
  CHECK(escaped("of `a`\x1b[2J\u202E") == R"(of `a`\x1b[2J\xe2\x80\xae)");
  CHECK(escaped(std::string(1000, 'x')) == std::string(1000, 'x'));
}

TEST_CASE("a long name is cut between characters, and the cut is shown") {
  CHECK(quoted(std::string(200, 'x')) == "`" + std::string(200, 'x') + "`");
  CHECK(quoted(std::string(201, 'x')) == "`" + std::string(200, 'x') + "...`");
  const std::string across = std::string(199, 'x') + "\xC3\xA9y";
  CHECK(quoted(across) == "`" + std::string(199, 'x') + "\xC3\xA9...`");
  CHECK(quoted(std::string(1'000'000, '\n')).size() < 1'000);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
