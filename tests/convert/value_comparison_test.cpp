// SPDX-License-Identifier: Apache-2.0
#include "convert/value_comparison.h"

#include <bit>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace weightmap::convert {
namespace {

using Strings = std::vector<std::string>;

// A graph under construction; each function returns a node.
struct Maker {
  ValueGraph graph;

  std::uint32_t none() { return graph.add_number(ValueKind::kNone, 0); }
  std::uint32_t integer(std::int64_t value) {
    return graph.add_number(ValueKind::kInt, static_cast<std::uint64_t>(value));
  }
  std::uint32_t real(double value) {
    return graph.add_number(ValueKind::kFloat, std::bit_cast<std::uint64_t>(value));
  }
  std::uint32_t truth(bool value) { return graph.add_number(ValueKind::kBool, value ? 1 : 0); }
  std::uint32_t text(std::string_view value) { return graph.add_text(ValueKind::kStr, value); }
  std::uint32_t tensor(std::uint64_t number) {
    return graph.add_number(ValueKind::kTensor, number);
  }
  std::uint32_t parent(ValueKind kind,
                       const std::vector<std::uint32_t>& children,
                       std::string_view text = {},
                       bool attributes = false) {
    return graph.add_parent(kind, children, text, attributes);
  }
  std::uint32_t list(const std::vector<std::uint32_t>& items) {
    return parent(ValueKind::kList, items);
  }
  std::uint32_t dict(const std::vector<std::pair<std::string, std::uint32_t>>& items,
                     ValueKind kind = ValueKind::kDict) {
    std::vector<std::uint32_t> children;
    for (const auto& [key, value] : items) {
      children.push_back(text(key));
      children.push_back(value);
    }
    return parent(kind, children);
  }
  std::uint32_t record(ValueKind kind, std::string_view name, std::uint32_t state) {
    const std::uint32_t nothing = none();
    const std::uint32_t arguments = parent(ValueKind::kTuple, {});
    return parent(kind, {arguments, nothing, state, nothing, nothing}, name);
  }
};

using Make = std::uint32_t (*)(Maker&);  // returns the last node, the root

Strings lines_of(const ValueComparison& found) {
  CHECK_FALSE(found.more);
  Strings lines;
  for (const ValueDifference& difference : found.differences)
    lines.push_back(difference.path + ": " + difference.first + " vs " + difference.second);
  return lines;
}

Strings compared(Make first, Make second) {
  Maker a;
  Maker b;
  first(a);
  second(b);
  return lines_of(compare_values(a.graph, b.graph));
}

// Of what stands under the key "x".
Strings compared_under_x(Make first, Make second) {
  Maker a;
  Maker b;
  a.dict({{"x", first(a)}});
  b.dict({{"x", second(b)}});
  return lines_of(compare_values(a.graph, b.graph));
}

TEST_SUITE_BEGIN("convert/value_comparison");

TEST_CASE("values that say the same are equal, others are told with their place") {
  struct Row {
    Make first, second;
    Strings lines;
  };
  const Row rows[] = {
      {[](Maker& it) { return it.integer(1); }, [](Maker& it) { return it.integer(1); }, {}},
      {[](Maker& it) { return it.integer(1); },
       [](Maker& it) { return it.integer(-2); },
       {"x: 1 vs -2"}},
      {[](Maker& it) { return it.integer(1); },
       [](Maker& it) { return it.truth(true); },
       {"x: 1 vs True"}},
      {[](Maker& it) { return it.integer(1); },
       [](Maker& it) { return it.real(1); },
       {"x: 1 vs 1.0"}},
      {[](Maker& it) { return it.none(); },
       [](Maker& it) { return it.text("a"); },
       {"x: None vs `a`"}},
      {[](Maker& it) { return it.real(0.1); },
       [](Maker& it) { return it.real(1e-30); },
       {"x: 0.1 vs 1e-30"}},
      {[](Maker& it) { return it.real(0.0); },
       [](Maker& it) { return it.real(-0.0); },
       {"x: 0.0 vs -0.0"}},
      {[](Maker& it) { return it.tensor(0); }, [](Maker& it) { return it.tensor(7); }, {}},
      {[](Maker& it) { return it.tensor(0); },
       [](Maker& it) { return it.list({}); },
       {"x: tensor vs list of 0"}},
      {[](Maker& it) {
         return it.list({it.integer(1), it.integer(2)});
       },
       [](Maker& it) {
         return it.list({it.integer(1), it.integer(3)});
       },
       {"x.1: 2 vs 3"}},
      {[](Maker& it) { return it.list({it.integer(1)}); },
       [](Maker& it) {
         return it.list({it.integer(2), it.integer(3)});
       },
       {"x: list of 1 vs list of 2", "x.0: 1 vs 2"}},
      {[](Maker& it) { return it.list({it.integer(1)}); },
       [](Maker& it) { return it.parent(ValueKind::kTuple, {it.integer(1)}); },
       {"x: list of 1 vs tuple of 1"}},
      {[](Maker& it) {
         return it.dict({{"y", it.none()}});
       },
       [](Maker& it) {
         return it.dict({{"y", it.none()}}, ValueKind::kOrderedDict);
       },
       {"x: dict of 1 vs ordered_dict of 1"}},
      {[](Maker& it) {
         return it.dict({{"y", it.none()}, {"z", it.none()}});
       },
       [](Maker& it) {
         return it.dict({{"z", it.none()}, {"y", it.none()}});
       },
       {"x: key 0 is `y` vs key 0 is `z`"}},
      {[](Maker& it) {
         return it.dict({{"y", it.integer(1)}, {"z", it.integer(2)}});
       },
       [](Maker& it) {
         return it.dict({{"z", it.integer(2)}, {"w", it.integer(3)}});
       },
       {"x.y: 1 vs nothing", "x.w: nothing vs 3"}},
      {[](Maker& it) {
         return it.dict({{"y", it.tensor(0)}, {"z", it.none()}});
       },
       [](Maker& it) {
         return it.dict({{"z", it.none()}, {"w", it.tensor(0)}});
       },
       {}},
      {[](Maker& it) {
         return it.parent(ValueKind::kSet, {it.integer(1), it.integer(2)});
       },
       [](Maker& it) {
         return it.parent(ValueKind::kSet, {it.integer(2), it.integer(1)});
       },
       {}},
      {[](Maker& it) {
         return it.parent(ValueKind::kSet, {it.integer(1), it.integer(2)});
       },
       [](Maker& it) {
         return it.parent(ValueKind::kSet, {it.integer(1), it.integer(3)});
       },
       {"x: set of 2 vs set of 2"}},
      {[](Maker& it) {
         return it.record(ValueKind::kOpaque, "a\nB", it.dict({{"y", it.integer(1)}}));
       },
       [](Maker& it) {
         return it.record(ValueKind::kOpaque, "a\nB", it.dict({{"y", it.integer(2)}}));
       },
       {"x.__state__.y: 1 vs 2"}},
      {[](Maker& it) { return it.record(ValueKind::kOpaque, "a\nB", it.none()); },
       [](Maker& it) { return it.record(ValueKind::kOpaque, "a\nC", it.none()); },
       {"x: object `a.B` vs object `a.C`"}},
      {[](Maker& it) { return it.parent(ValueKind::kDefaultDict, {}, "builtins\nlist"); },
       [](Maker& it) { return it.parent(ValueKind::kDefaultDict, {}, "builtins\ndict"); },
       {"x: default_dict of 0 vs default_dict of 0"}},
      {[](Maker& it) {
         return it.parent(ValueKind::kDict, {it.dict({{"y", it.integer(1)}})}, {}, true);
       },
       [](Maker& it) {
         return it.parent(ValueKind::kDict, {it.dict({{"y", it.integer(2)}})}, {}, true);
       },
       {"x.__dict__.y: 1 vs 2"}},
      {[](Maker& it) {
         return it.parent(ValueKind::kDict, {it.dict({{"y", it.integer(1)}})}, {}, true);
       },
       [](Maker& it) { return it.dict({}); },
       {"x.__dict__: dict of 1 vs nothing"}},
      {[](Maker& it) { return it.graph.add_number(ValueKind::kDtype, 6); },
       [](Maker& it) { return it.graph.add_number(ValueKind::kDtype, 5); },
       {"x: torch.float32 vs torch.float16"}},
      {[](Maker& it) {
         return it.parent(ValueKind::kDict, {it.integer(1), it.none()});
       },
       [](Maker& it) {
         return it.parent(ValueKind::kDict, {it.integer(1), it.truth(false)});
       },
       {"x.1: None vs False"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    CHECK(compared_under_x(row.first, row.second) == row.lines);
  }
}

TEST_CASE("objects without items and no objects are compared") {
  const Make one = [](Maker& it) { return it.integer(1); };
  const Make two = [](Maker& it) { return it.integer(2); };
  const Make nothing = [](Maker&) { return 0U; };
  CHECK(compared(one, two) == Strings{": 1 vs 2"});
  CHECK(compared(one, nothing) == Strings{": 1 vs nothing"});
  CHECK(compared(nothing, two) == Strings{": nothing vs 2"});
  CHECK(compared(nothing, nothing) == Strings());
}

TEST_CASE("a key that is there twice is told and not paired") {
  const Make twice = [](Maker& it) {
    return it.parent(ValueKind::kDict, {it.text("a"), it.integer(1), it.text("a"), it.integer(2)});
  };
  const Make once = [](Maker& it) { return it.dict({{"a", it.integer(1)}}); };
  CHECK(compared(twice, once) == Strings{": dict of 2 vs dict of 1"});
  CHECK(compared(twice, twice) == Strings());
}

TEST_CASE("which values are one object makes no difference") {
  const Make shared = [](Maker& it) {
    const std::uint32_t item = it.list({it.integer(1)});
    return it.list({item, item});
  };
  const Make apart = [](Maker& it) {
    const std::uint32_t item = it.list({it.integer(1)});
    return it.list({item, it.list({it.integer(1)})});
  };
  CHECK(compared(shared, apart) == Strings());
}

// A list of two of the same list of two of the same ...
std::uint32_t doubled(Maker& it, int levels, std::int64_t leaf) {
  std::uint32_t node = it.integer(leaf);
  for (int i = 0; i < levels; ++i)
    node = it.list({node, node});
  return node;
}

TEST_CASE("what shares itself without end is compared in the time of its nodes") {
  const Make one = [](Maker& it) { return doubled(it, 200, 1); };
  const Make two = [](Maker& it) { return doubled(it, 200, 2); };
  CHECK(compared(one, one) == Strings());
  CHECK(compared(one, two).size() == 1);
}

TEST_CASE("deep objects and long paths stay within bounds") {
  Maker a;
  Maker b;
  for (Maker* const it : {&a, &b}) {
    std::uint32_t node = it->integer(it == &a ? 1 : 2);
    for (int i = 0; i < 100'000; ++i)
      node = it->list({node});
  }
  const ValueComparison found = compare_values(a.graph, b.graph);
  REQUIRE(found.differences.size() == 1);
  CHECK(found.differences[0].path.starts_with("..."));
  CHECK(found.differences[0].path.size() < 2 * ValueComparisonLimits::kPathBytes);
}

TEST_CASE("more differences than anybody reads are not all told") {
  Maker a;
  Maker b;
  for (Maker* const it : {&a, &b}) {
    std::vector<std::uint32_t> items;
    for (std::int64_t i = 0; i < 2000; ++i)
      items.push_back(it->integer(it == &a ? i : -i - 1));
    it->list(items);
  }
  const ValueComparison found = compare_values(a.graph, b.graph);
  CHECK(found.differences.size() == ValueComparisonLimits::kDifferences);
  CHECK(found.more);
}

TEST_CASE("one large mapping beside many others takes no time by their product") {
  Maker a;
  Maker b;
  constexpr int kMany = 3000;
  std::vector<std::pair<std::string, std::uint32_t>> large;
  for (int i = 0; i < kMany; ++i)
    large.emplace_back("key" + std::to_string(i), a.none());
  const std::uint32_t one = a.dict(large);
  a.list(std::vector<std::uint32_t>(kMany, one));
  std::vector<std::uint32_t> small;
  for (int i = 0; i < kMany; ++i)
    small.push_back(b.dict({{"key" + std::to_string(i), b.none()}}));
  b.list(small);
  const ValueComparison found = compare_values(a.graph, b.graph);
  CHECK(found.more);
  CHECK_FALSE(found.differences.empty());
}

}  // namespace
}  // namespace weightmap::convert
