// SPDX-License-Identifier: Apache-2.0
#include "convert/plan.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "format/index_view.h"

namespace weightmap::convert {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Composite;
using Names = std::vector<std::string>;
using Node = std::uint32_t;

Checkpoint opened(const std::string& version) {
  const std::string path = WEIGHTMAP_TEST_DATA "/checkpoints/composites/" + version + ".pt";
  auto found = checkpoint::open_checkpoint(path, {});
  REQUIRE(found);
  return *std::move(found);
}

Plan plan_of(const Checkpoint& source) {
  auto plan = make_plan(source, {});
  INFO((plan ? "" : plan.error().message()));
  REQUIRE(plan);
  return *std::move(plan);
}

Names names_of(const Plan& plan) {
  Names names;
  for (const format::TensorContent& tensor : plan.content.tensors)
    names.push_back(tensor.name);
  return names;
}

// A checkpoint of one composite, which stands under each of the keys, and of plain tensors.
Checkpoint with_composite(const Names& keys, const Names& plain) {
  Checkpoint source;
  source.tensors.resize(2 + plain.size());
  for (checkpoint::Tensor& tensor : source.tensors)
    tensor.meta = true;
  source.composites.push_back({.kind = CompositeKind::kSparseCoo,
                               .is_parameter = true,
                               .shape = {3},
                               .parts = {{"indices", 0}, {"values", 1}},
                               .integers = {1}});
  ValueGraph& graph = source.values;
  std::vector<Node> items;
  const Node composite = graph.add_number(ValueKind::kComposite, 0);
  for (const std::string& key : keys) {
    items.push_back(graph.add_text(ValueKind::kStr, key));
    items.push_back(composite);
  }
  for (std::uint64_t i = 0; i < plain.size(); ++i) {
    items.push_back(graph.add_text(ValueKind::kStr, plain[i]));
    items.push_back(graph.add_number(ValueKind::kTensor, 2 + i));
  }
  graph.add_parent(ValueKind::kDict, items);
  return source;
}

TEST_SUITE_BEGIN("convert/plan");

TEST_CASE("a composite is one name and its parts are entries below it") {
  const Plan plan = plan_of(with_composite({"w"}, {"b"}));
  CHECK(names_of(plan) == Names{"w.indices", "w.values", "b"});
  CHECK(plan.content.tensors[0].flags == (format::kPart | format::kMeta));
  CHECK(plan.content.tensors[2].flags == format::kMeta);
  REQUIRE(plan.content.composites.size() == 1);
  const format::CompositeContent& composite = plan.content.composites[0];
  CHECK(composite.name == "w");
  CHECK(composite.kind == CompositeKind::kSparseCoo);
  CHECK(composite.flags == format::kParameter);
  CHECK(composite.shape == std::vector<std::int64_t>{3});
  CHECK(composite.integers == std::vector<std::int64_t>{1});
  REQUIRE(composite.parts.size() == 2);
  CHECK(composite.parts[1].role == "values");
  CHECK(composite.parts[1].tensor == 1);
}

TEST_CASE("parts make way for tensors that have their names") {
  const Plan plan = plan_of(with_composite({"w"}, {"w.values", "w.values_", "w.indices__"}));
  CHECK(names_of(plan) == Names{"w.indices", "w.values__", "w.values", "w.values_", "w.indices__"});
}

TEST_CASE("composites are in the order of their names and nodes follow the first one") {
  const Plan plan = plan_of(with_composite({"z", "a", "m"}, {}));
  REQUIRE(plan.content.composites.size() == 3);
  CHECK(plan.content.composites[0].name == "a");
  CHECK(plan.content.composites[1].name == "m");
  CHECK(plan.content.composites[2].name == "z");
  CHECK(names_of(plan) ==
        Names{"z.indices", "z.values", "a.indices", "a.values", "m.indices", "m.values"});
  CHECK(plan.content.composites[0].parts[0].tensor == 2);
  const ValueGraph& values = plan.content.values;
  for (const ValueNode& node : values.nodes()) {
    if (node.kind == ValueKind::kComposite) CHECK(node.number == 2);
  }
}

TEST_CASE("a composite that is the whole checkpoint is called tensor") {
  Checkpoint source = with_composite({"w"}, {});
  source.values = {};
  source.values.add_number(ValueKind::kComposite, 0);
  const Plan plan = plan_of(source);
  CHECK(names_of(plan) == Names{"tensor.indices", "tensor.values"});
  CHECK(plan.content.composites[0].name == "tensor");
}

TEST_CASE("many composites of one name cost no more than their names") {
  // Each component may be split at each dot: many paths, one name.
  Checkpoint source = with_composite({"w"}, {});
  ValueGraph& graph = source.values;
  Node level = graph.root();
  for (int depth = 0; depth < 12; ++depth) {
    const Node a = graph.add_text(ValueKind::kStr, "a");
    const Node aa = graph.add_text(ValueKind::kStr, "a.a");
    const Node one = graph.add_parent(ValueKind::kDict, std::array{a, level});
    level = graph.add_parent(ValueKind::kDict, std::array{a, one, aa, level});
  }
  const Plan plan = plan_of(source);
  CHECK(plan.content.composites.size() == 4096);
  const auto longest = std::ranges::max(names_of(plan), {}, &std::string::size);
  CHECK(longest.size() < 64);
}

TEST_CASE("what PyTorch wrote is planned without a loss") {
  for (const char* version : {"torch-1.13", "torch-2.13"}) {
    CAPTURE(version);
    const Checkpoint source = opened(version);
    const Plan plan = plan_of(source);
    // One more than objects: one of them has two names.
    CHECK(plan.content.composites.size() == source.composites.size() + 1);
    std::set<std::string> names;
    for (const std::string& name : names_of(plan))
      CHECK(names.insert(name).second);
    CHECK(names.contains("csr.values"));
    CHECK(names.contains("csr.values_"));
    std::size_t parts = 0;
    for (const format::CompositeContent& composite : plan.content.composites) {
      CAPTURE(composite.name);
      CHECK_FALSE(names.contains(composite.name));
      parts += composite.parts.size();
      for (const format::PartContent& part : composite.parts) {
        const format::TensorContent& entry = plan.content.tensors[part.tensor];
        CHECK(entry.name.starts_with(composite.name + "." + part.role));
        CHECK((entry.flags & format::kPart) != 0);
      }
    }
    CHECK(parts + 1 == plan.content.tensors.size());
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::convert
