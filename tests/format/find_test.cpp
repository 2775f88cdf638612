// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "support/check_file.h"
#include "support/golden_files.h"

namespace weightmap::format {
namespace {

tests::OpenIndex index_of_names(const std::vector<std::string>& names) {
  tests::WholeContent whole;
  for (const std::string& name : names) {
    whole.content.tensors.push_back({.name = name, .shape = {0}, .strides = {1}});
  }
  auto index = tests::open_index(tests::encode_file(whole));
  REQUIRE_MESSAGE(index.has_value(), index.error().message());
  return *std::move(index);
}

std::vector<std::string> numbered_names(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i)
    names.push_back("layers." + std::to_string(i) + ".weight");
  return names;
}

// By itself and, what must be the same, together with others.
std::optional<std::uint32_t> find(const IndexView& index, std::string_view name) {
  const auto alone = index.find(name);
  const std::vector<std::string_view> names{"no such name", name, ""};
  std::vector<std::uint32_t> numbers(names.size());
  index.find_all(names, numbers);
  CHECK(numbers == std::vector<std::uint32_t>{kNoEntry, alone.value_or(kNoEntry), kNoEntry});
  return alone;
}

}  // namespace

TEST_SUITE("format/find") {
  TEST_CASE("each name is found at its place and no other name is, whatever their number") {
    for (const std::size_t count : {0U, 1U, 2U, 3U, 4U, 5U, 7U, 8U, 1000U, 1024U, 1025U}) {
      CAPTURE(count);
      const auto names = numbered_names(count);
      const auto index = index_of_names(names);
      REQUIRE(index.view.entries.size() == count);
      for (std::uint32_t i = 0; i < count; ++i) {
        CHECK(find(index.view, names[i]) == i);
        CHECK_FALSE(find(index.view, names[i] + "x"));
        CHECK_FALSE(find(index.view, names[i].substr(1)));
      }
      CHECK_FALSE(find(index.view, ""));
      CHECK_FALSE(find(index.view, numbered_names(count + 1).back()));
    }
  }

  TEST_CASE("many names are found together, in any order, whatever is not there") {
    const auto names = numbered_names(1000);
    const auto index = index_of_names(names);
    std::vector<std::string> wanted;
    std::vector<std::uint32_t> expected;
    for (std::uint32_t i = 0; i < 777; ++i) {
      const std::uint32_t number = i * 7919 % 1500;
      const bool is_there = number < names.size();
      wanted.push_back(is_there ? names[number] : "absent." + std::to_string(number));
      expected.push_back(is_there ? number : kNoEntry);
    }
    const std::vector<std::string_view> views(wanted.begin(), wanted.end());
    std::vector<std::uint32_t> numbers(views.size());
    index.view.find_all(views, numbers);
    CHECK(numbers == expected);
  }

  // Whoever knows XXH3 can choose names for their hashes: these share the upper 32 bits, hence a
  // bucket and all that `order` says of them.
  TEST_CASE("names whose hashes begin alike are told apart") {
    std::vector<std::string> names = {"n#.4UgU_", "dG X+GVj", "C),>fv|'", "W#:MEm)p",
                                      "'0._obh|", "~US#Eh(f", "4(abQ Nh", "Ji5d5y)a",
                                      "+omqWtH8", "q-0%I|=K", "/~@5R>La"};
    const std::string absent = "M-&Mhv[W";
    for (const std::string& name : names)
      REQUIRE((name_hash(name) >> 32U) == 0x12345678U);
    REQUIRE((name_hash(absent) >> 32U) == 0x12345678U);
    const auto index = index_of_names(names);
    for (std::uint32_t i = 0; i < names.size(); ++i)
      CHECK(find(index.view, names[i]) == i);
    CHECK_FALSE(find(index.view, absent));
  }

  TEST_CASE("a name is not taken for another with the same hash") {
    const std::string name = "layers.5311.w";
    const std::string twin = "edUqPG}x";
    REQUIRE(name_hash(name) == name_hash(twin));
    const auto index = index_of_names({name});
    CHECK(find(index.view, name) == 0);
    CHECK_FALSE(find(index.view, twin));
  }

  TEST_CASE("names of any length and script are found") {
    const std::vector<std::string> names = {"a",
                                            std::string(65535, 'n'),
                                            std::string(65534, 'n'),
                                            "\u00fc",
                                            "\U0001F600.\u6a21\u578b",
                                            " ",
                                            ".",
                                            "a.b.c",
                                            "\x01\x7F"};
    const auto index = index_of_names(names);
    for (std::uint32_t i = 0; i < names.size(); ++i) {
      CAPTURE(i);
      CHECK(find(index.view, names[i]) == i);
      CHECK(index.view.name(index.view.entries[i]) == names[i]);
    }
  }
}

}  // namespace weightmap::format
