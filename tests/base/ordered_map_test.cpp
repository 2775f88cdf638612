// SPDX-License-Identifier: Apache-2.0
// What each edit leaves is what Python's OrderedDict has after the same one.
#include "weightmap/ordered_map.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

using Map = OrderedMap<int>;
using Items = std::vector<std::pair<std::string, int>>;

Map abc() {
  Map map;
  map.set("a", 1);
  map.set("b", 2);
  map.set("c", 3);
  return map;
}

Items items(const Map& map) {
  Items found;
  for (const auto& [name, value] : map)
    found.emplace_back(name, value);
  return found;
}

TEST_SUITE_BEGIN("base/ordered_map");

TEST_CASE("names keep the order in which they were first set") {
  Map map = abc();
  map.set("a", 10);
  CHECK(items(map) == Items{{"a", 10}, {"b", 2}, {"c", 3}});
  CHECK(map.size() == 3);
  CHECK(map.contains("c"));
  CHECK_FALSE(map.contains("d"));
  CHECK(*map.find("b") == 2);
  CHECK(map.find("d") == nullptr);
  CHECK(std::as_const(map).find("d") == nullptr);
}

TEST_CASE("what was erased and set again stands last") {
  Map map = abc();
  CHECK(map.erase("a"));
  CHECK_FALSE(map.erase("a"));
  map.set("a", 4);
  CHECK(items(map) == Items{{"b", 2}, {"c", 3}, {"a", 4}});
  CHECK(map.pop("c") == 3);
  CHECK_FALSE(map.pop("c").has_value());
  CHECK(items(map) == Items{{"b", 2}, {"a", 4}});
}

TEST_CASE("a rename goes to the end, or replaces what has the name") {
  Map map = abc();
  CHECK(map.rename("a", "d"));
  CHECK(items(map) == Items{{"b", 2}, {"c", 3}, {"d", 1}});
  CHECK(map.rename("d", "b"));
  CHECK(items(map) == Items{{"b", 1}, {"c", 3}});
  CHECK(map.rename("b", "b"));
  CHECK(items(map) == Items{{"c", 3}, {"b", 1}});
  CHECK_FALSE(map.rename("x", "y"));
  CHECK(items(map) == Items{{"c", 3}, {"b", 1}});
}

TEST_CASE("names may be parts of the entries that go") {
  OrderedMap<std::string> map;
  map.set("module.weight.which.is.too.long.to.stand.in.the.string.itself", "value");
  const std::string_view name = map.begin()->name;
  CHECK(map.rename(name, name.substr(7)));
  const std::string_view renamed = map.begin()->name;
  CHECK(renamed == "weight.which.is.too.long.to.stand.in.the.string.itself");
  CHECK(map.erase(renamed));
  CHECK(map.empty());
}

TEST_CASE("values stay where they are until they are erased") {
  Map map = abc();
  const int* const b = map.find("b");
  map.erase("a");
  for (int i = 0; i < 1000; ++i)
    map.set(std::to_string(i), i);
  map.set("b", 20);
  CHECK(map.find("b") == b);
  const Map moved = std::move(map);
  CHECK(moved.find("b") == b);
  CHECK(*b == 20);
}

TEST_CASE("a copy is another map, and one copied onto itself is what it was") {
  Map map = abc();
  Map copy = map;
  copy.set("a", 9);
  copy.erase("b");
  CHECK(items(map) == Items{{"a", 1}, {"b", 2}, {"c", 3}});
  const Map& itself = map;
  map = itself;
  CHECK(items(map) == Items{{"a", 1}, {"b", 2}, {"c", 3}});
  map = copy;
  CHECK(items(map) == Items{{"a", 9}, {"c", 3}});
  CHECK(*map.find("c") == 3);
}

TEST_CASE("an update sets what the other has, its own entries included") {
  Map map = abc();
  Map other;
  other.set("d", 4);
  other.set("b", 20);
  map.update(other);
  CHECK(items(map) == Items{{"a", 1}, {"b", 20}, {"c", 3}, {"d", 4}});
  map.update(map);
  CHECK(items(map) == Items{{"a", 1}, {"b", 20}, {"c", 3}, {"d", 4}});
  map.clear();
  CHECK(map.empty());
  CHECK_FALSE(map.contains("a"));
  map.set("a", 5);
  CHECK(items(map) == Items{{"a", 5}});
}

TEST_CASE("values need not be copied") {
  OrderedMap<std::unique_ptr<int>> map;
  map.set("a", std::make_unique<int>(1));
  map.rename("a", "b");
  CHECK(**map.find("b") == 1);
  CHECK(**map.pop("b") == 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
