// SPDX-License-Identifier: Apache-2.0
#include "weightmap/value_graph.h"

#include <array>
#include <bit>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

using Numbers = std::vector<std::uint32_t>;
using namespace std::string_view_literals;

Numbers as_numbers(std::span<const std::uint32_t> span) {
  return {span.begin(), span.end()};
}

TEST_SUITE_BEGIN("base/value_graph");

TEST_CASE("a graph that nothing was added to is empty") {
  const ValueGraph graph;
  CHECK(graph.empty());
  CHECK(graph.size() == 0);
  CHECK(graph.nodes().empty());
}

TEST_CASE("{'lr': 0.5, 'betas': (1, -2)} is built children first, the root last") {
  ValueGraph graph;
  const auto lr = graph.add_text(ValueKind::kStr, "lr");
  const auto half = graph.add_number(ValueKind::kFloat, 0x3FE0000000000000U);
  const auto betas = graph.add_text(ValueKind::kStr, "betas");
  const auto one = graph.add_number(ValueKind::kInt, 1);
  const auto minus_two = graph.add_number(ValueKind::kInt, 0xFFFFFFFFFFFFFFFEU);
  const auto tuple = graph.add_parent(ValueKind::kTuple, Numbers{one, minus_two});
  const auto dict = graph.add_parent(ValueKind::kDict, Numbers{lr, half, betas, tuple});
  CHECK(Numbers{lr, half, betas, one, minus_two, tuple, dict} == Numbers{0, 1, 2, 3, 4, 5, 6});
  CHECK(graph.size() == 7);
  CHECK(graph.root() == dict);
  CHECK(graph.node(dict).kind == ValueKind::kDict);
  CHECK(as_numbers(graph.children(dict)) == Numbers{0, 1, 2, 5});
  CHECK(as_numbers(graph.children(tuple)) == Numbers{3, 4});
  CHECK(graph.text(lr) == "lr");
  CHECK(graph.text(betas) == "betas");
  CHECK(graph.real(half) == 0.5);
  CHECK(graph.integer(one) == 1);
  CHECK(graph.integer(minus_two) == -2);
  CHECK(graph.children(half).empty());
  CHECK(graph.text(half).empty());
}

TEST_CASE("numbers keep every bit") {
  ValueGraph graph;
  const auto least = graph.add_number(ValueKind::kInt, std::uint64_t{1} << 63U);
  const auto nan = graph.add_number(ValueKind::kFloat, 0x7FF8000000000123U);
  const auto minus_zero = graph.add_number(ValueKind::kFloat, std::uint64_t{1} << 63U);
  CHECK(graph.integer(least) == std::numeric_limits<std::int64_t>::min());
  CHECK(std::bit_cast<std::uint64_t>(graph.real(nan)) == 0x7FF8000000000123U);
  CHECK(std::bit_cast<std::uint64_t>(graph.real(minus_zero)) == std::uint64_t{1} << 63U);
}

TEST_CASE("text keeps every byte") {
  ValueGraph graph;
  const auto bytes = graph.add_text(ValueKind::kBytes, "\0\xff\n\0"sv);
  const auto nothing = graph.add_text(ValueKind::kStr, "");
  const auto after = graph.add_text(ValueKind::kStr, "after");
  CHECK(graph.text(bytes) == "\0\xff\n\0"sv);
  CHECK(graph.text(nothing).empty());
  CHECK(graph.text(after) == "after");
}

TEST_CASE("a shared value is one node with several parents") {
  ValueGraph graph;
  const auto shared = graph.add_parent(ValueKind::kList, {});
  const auto both = graph.add_parent(ValueKind::kTuple, Numbers{shared, shared});
  CHECK(graph.size() == 2);
  CHECK(as_numbers(graph.children(both)) == Numbers{shared, shared});
}

TEST_CASE("attributes are the last child and no item") {
  ValueGraph graph;
  const auto key = graph.add_text(ValueKind::kStr, "key");
  const auto value = graph.add_number(ValueKind::kNone, 0);
  const auto attributes = graph.add_parent(ValueKind::kDict, {});
  const auto dict =
      graph.add_parent(ValueKind::kOrderedDict, Numbers{key, value, attributes}, "a factory", true);
  CHECK(graph.node(dict).has_attributes);
  CHECK(as_numbers(graph.children(dict)) == Numbers{key, value, attributes});
  CHECK(as_numbers(graph.items(dict)) == Numbers{key, value});
  CHECK(graph.text(dict) == "a factory");
  CHECK(graph.items(attributes).empty());
  const auto plain = graph.add_parent(ValueKind::kList, Numbers{key});
  CHECK(as_numbers(graph.items(plain)) == Numbers{key});
}

TEST_CASE("a graph is the same when it is put together from its parts") {
  ValueGraph graph;
  const auto a = graph.add_text(ValueKind::kStr, "a");
  const auto one = graph.add_number(ValueKind::kInt, 1);
  graph.add_parent(ValueKind::kDict, Numbers{a, one});
  const ValueGraph copy =
      ValueGraph::from_parts({graph.nodes().begin(), graph.nodes().end()},
                             as_numbers(graph.all_children()), std::string(graph.all_text()));
  CHECK(copy.size() == 3);
  CHECK(copy.text(0) == "a");
  CHECK(copy.integer(1) == 1);
  CHECK(copy.node(copy.root()).kind == ValueKind::kDict);
  CHECK(as_numbers(copy.items(copy.root())) == Numbers{0, 1});
}

TEST_CASE("every kind has its stored number and its name") {
  // In the order of the table in FORMAT.md, section 4.
  constexpr std::array kNames{
      "none"sv,    "bool"sv,         "int"sv,       "int"sv,       "float"sv,
      "complex"sv, "str"sv,          "bytes"sv,     "bytearray"sv, "list"sv,
      "tuple"sv,   "set"sv,          "frozenset"sv, "dict"sv,      "ordered_dict"sv,
      "counter"sv, "default_dict"sv, "size"sv,      "dtype"sv,     "device"sv,
      "global"sv,  "tensor"sv,       "composite"sv, "opaque"sv,    "object"sv};
  REQUIRE(kNames.size() == kValueKindCount);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    CAPTURE(i);
    CHECK(value_kind_name(static_cast<ValueKind>(i)) == kNames[i]);
  }
  CHECK(static_cast<int>(ValueKind::kTensor) == 21);
  CHECK(static_cast<int>(ValueKind::kOrderedDict) == 14);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
