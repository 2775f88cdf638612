// SPDX-License-Identifier: Apache-2.0
#include "base/pattern.h"

#include <doctest/doctest.h>

namespace weightmap {
namespace {

TEST_SUITE_BEGIN("base/pattern");

TEST_CASE("a pattern covers the whole name or nothing of it") {
  struct Row {
    const char* pattern;
    const char* name;
    bool covers;
  };
  constexpr Row kRows[] = {
      {"fc.weight", "fc.weight", true},
      {"fc.weight", "fc.weigh", false},
      {"fc", "fc.weight", false},
      {"*", "", true},
      {"*", "a.b.c", true},
      {"?", "", false},
      {"?", "a", true},
      {"fc.?ias", "fc.bias", true},
      {"*.weight", "a.weight", true},
      {"*.weight", ".weight", true},
      {"*.weight", "weight", false},
      {"a*b*c", "aXbYbZc", true},
      {"a*b*c", "aXbYbZ", false},
      {"**", "abc", true},
      {"", "", true},
      {"", "a", false},
      {"[ab]", "a", false},
      {"[ab]", "[ab]", true},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.pattern);
    CAPTURE(row.name);
    CHECK(match(row.pattern, row.name).has_value() == row.covers);
  }
}

TEST_CASE("each star stands for as little as can be, the last for the rest") {
  const auto parts = match("*.layer.*.w*", "enc.layer.layer.0.w.w1");
  REQUIRE(parts);
  CHECK(*parts == std::vector<std::string_view>{"enc", "layer.0", ".w1"});
}

TEST_CASE("a replacement takes the stars in their order") {
  CHECK(substitute("*.h.*", {"gpt", "0"}) == "gpt.h.0");
  CHECK(substitute("*", {"a", "b"}) == "a");
  CHECK(substitute("all", {"a"}) == "all");
}

TEST_CASE("a pattern of many stars takes no more than the product of the lengths") {
  std::string pattern;
  for (int i = 0; i < 200; ++i)
    pattern += "*a";
  CHECK_FALSE(match(pattern + "b", std::string(20'000, 'a')));
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
