// SPDX-License-Identifier: Apache-2.0
#include "format/naming.h"

#include <array>

#include <doctest/doctest.h>

namespace weightmap::format {
namespace {

using Strings = std::vector<std::string>;
using Node = std::uint32_t;

// Builds graphs in a line or two.
struct Graph : ValueGraph {
  Node tensor(std::uint64_t number) { return add_number(ValueKind::kTensor, number); }
  Node integer(std::int64_t value) {
    return add_number(ValueKind::kInt, static_cast<std::uint64_t>(value));
  }
  Node text(std::string_view value) { return add_text(ValueKind::kStr, value); }
  Node list(const std::vector<Node>& items) { return add_parent(ValueKind::kList, items); }
  Node dict(const std::vector<Node>& items) { return add_parent(ValueKind::kDict, items); }
  using ValueGraph::text;
};

Strings names_of(const Graph& graph) {
  const auto names = name_tensors(graph, graph.root());
  if (!names) return {names.error().message()};
  Strings found;
  for (const NamedTensor& tensor : names->tensors)
    found.push_back(tensor.name);
  return found;
}

TEST_SUITE_BEGIN("format/naming");

TEST_CASE("a bare tensor is called tensor") {
  Graph graph;
  graph.tensor(0);
  CHECK(names_of(graph) == Strings{"tensor"});
}

TEST_CASE("paths are keys and positions, in definition order") {
  Graph graph;
  const Node state = graph.dict(
      {graph.text("fc.weight"), graph.tensor(0), graph.text("fc.bias"), graph.tensor(1)});
  const Node moments = graph.dict({graph.integer(0), graph.list({graph.tensor(2), graph.tensor(3)}),
                                   graph.integer(-1), graph.tensor(4)});
  graph.dict({graph.text("model"), state, graph.text("epoch"), graph.integer(5),
              graph.text("optimizer"), moments});
  CHECK(names_of(graph) == Strings{"model.fc.weight", "model.fc.bias", "optimizer.0.0",
                                   "optimizer.0.1", "optimizer.-1"});
}

TEST_CASE("what is shared stands under every path to it") {
  Graph graph;
  const Node state = graph.dict({graph.text("w"), graph.tensor(0)});
  graph.dict({graph.text("model"), state, graph.text("best"), state});
  CHECK(names_of(graph) == Strings{"model.w", "best.w"});
}

TEST_CASE("a tensor below a key that is no name is refused with its place") {
  Graph graph;
  const Node key = graph.add_parent(ValueKind::kTuple, {});
  const Node inner = graph.dict({key, graph.list({graph.tensor(0)})});
  graph.dict({graph.text("state"), inner});
  CHECK(names_of(graph)[0].find("a tensor has no name: in `state` there is a key on the way to it "
                                "of the kind tuple") == 0);
}

TEST_CASE("a tensor that is a key is refused, too, or in one") {
  for (const bool is_in_tuple : {false, true}) {
    Graph graph;
    Node key = graph.tensor(0);
    if (is_in_tuple) key = graph.add_parent(ValueKind::kTuple, std::array{key});
    graph.dict({key, graph.integer(1)});
    const std::string kind = is_in_tuple ? "tuple" : "tensor";
    CHECK(
        names_of(graph)[0].find("a tensor has no name: at the top there is a key on the way to it "
                                "of the kind " +
                                kind) == 0);
  }
}

TEST_CASE("the same small value many times over is as long as it looks") {
  Graph graph;
  const Node no = graph.add_number(ValueKind::kBool, 0);
  const Node three = graph.list({no, no, no});
  const Node flags = graph.list(std::vector<Node>(1'000'000, no));
  const Node lists = graph.list(std::vector<Node>(300'000, three));
  graph.dict(
      {graph.text("flags"), flags, graph.text("lists"), lists, graph.text("w"), graph.tensor(0)});
  CHECK(names_of(graph) == Strings{"w"});
}

TEST_CASE("keys that are no names are no matter where there are no tensors") {
  Graph graph;
  const Node key = graph.add_parent(ValueKind::kTuple, {});
  const Node inner = graph.dict({key, graph.list({graph.integer(1)})});
  graph.dict({graph.text("state"), inner, graph.text("w"), graph.tensor(0)});
  CHECK(names_of(graph) == Strings{"w"});
}

TEST_CASE("tensors in objects of unknown classes are named by their state") {
  Graph graph;
  const Node none = graph.add_number(ValueKind::kNone, 0);
  const Node arguments = graph.add_parent(ValueKind::kTuple, std::array{graph.tensor(0)});
  const Node state = graph.dict({graph.text("weight"), graph.tensor(1)});
  const Node items = graph.list({graph.tensor(2)});
  const Node object = graph.add_parent(
      ValueKind::kOpaque, std::array{arguments, none, state, items, none}, "mine\nThing");
  graph.dict({graph.text("thing"), object});
  CHECK(names_of(graph) == Strings{"thing.__args__.0", "thing.weight", "thing.0"});
}

TEST_CASE("billions of paths over few nodes are refused at a bounded cost") {
  Graph graph;
  Node level = graph.dict({graph.text("w"), graph.tensor(0)});
  for (int depth = 0; depth < 40; ++depth)
    level = graph.list({level, level});
  CHECK(names_of(graph)[0].find("would expand to too many names") != std::string::npos);
}

TEST_CASE("names that would take more memory than their pickle explains are refused") {
  Graph graph;
  const Node tensor = graph.tensor(0);
  const Node many = graph.list(std::vector<Node>(50'000, tensor));
  graph.dict({graph.text(std::string(60'000, 'x')), many});
  CHECK(names_of(graph)[0].find("would expand to too many names") != std::string::npos);
}

TEST_CASE("versions of modules under many paths are refused at a bounded cost") {
  Graph graph;
  const Node version = graph.dict({graph.text("version"), graph.integer(1)});
  std::vector<Node> modules;
  for (int i = 0; i < 5'000; ++i)
    modules.insert(modules.end(), {graph.text("layers." + std::to_string(i)), version});
  const Node metadata = graph.dict(modules);
  const Node attributes = graph.dict({graph.text("_metadata"), metadata});
  Node level = graph.integer(0);
  for (int depth = 0; depth < 500; ++depth) {
    level = graph.add_parent(ValueKind::kOrderedDict,
                             std::array{graph.text("next"), level, attributes}, {}, true);
  }
  CHECK(names_of(graph)[0].find("would expand to too many names") != std::string::npos);
}

TEST_CASE("containers without tensors below a long name are refused at a bounded cost") {
  Graph graph;
  const Node one = graph.list({graph.integer(0)});
  const Node many = graph.list(std::vector<Node>(20'000, one));
  graph.dict({graph.text(std::string(60'000, 'x')), many});
  CHECK(names_of(graph)[0].find("would expand to too many names") != std::string::npos);
}

TEST_CASE("a deep nest takes no call stack") {
  Graph graph;
  Node level = graph.list({graph.tensor(0)});
  for (int depth = 0; depth < 20'000; ++depth)
    level = graph.list({level});
  CHECK(names_of(graph)[0].size() == 2 * 20'001 - 1);
}

TEST_CASE("module versions come from _metadata under the dictionary's path") {
  Graph graph;
  const auto version = [&](std::int64_t number) {
    return graph.dict({graph.text("version"), graph.integer(number)});
  };
  const Node one = version(1);
  const Node two = version(2);
  const Node metadata = graph.add_parent(ValueKind::kOrderedDict,
                                         std::array{graph.text(""), one, graph.text("bn"), two});
  const Node attributes = graph.dict({graph.text("_metadata"), metadata});
  const Node state = graph.add_parent(
      ValueKind::kOrderedDict, std::array{graph.text("w"), graph.tensor(0), attributes}, {}, true);
  graph.dict({graph.text("model"), state});
  const auto names = name_tensors(graph, graph.root());
  REQUIRE(names);
  REQUIRE(names->modules.size() == 2);
  CHECK(names->modules[0].path == "model");
  CHECK(names->modules[0].version == 1);
  CHECK(names->modules[1].path == "model.bn");
  CHECK(names->modules[1].version == 2);
}

TEST_CASE("a pickled module is named as its state_dict would be") {
  Graph graph;
  const Node none = graph.add_number(ValueKind::kNone, 0);
  const Node nothing = graph.add_parent(ValueKind::kTuple, {});
  const auto object = [&](Node state) {
    return graph.add_parent(ValueKind::kOpaque, std::array{nothing, none, state, none, none},
                            "my\nNet");
  };
  const auto key = [&](std::string_view text) { return graph.text(text); };
  const auto module = [&](const std::vector<Node>& parameters, const std::vector<Node>& buffers,
                          const std::vector<Node>& modules, std::vector<Node> more) {
    const std::vector<Node> own{key("training"),    none,
                                key("_modules"),    graph.dict(modules),
                                key("_parameters"), graph.dict(parameters),
                                key("_buffers"),    graph.dict(buffers)};
    more.insert(more.begin(), own.begin(), own.end());
    return object(graph.dict(more));
  };
  const Node hidden = graph.add_parent(ValueKind::kSet, std::array{key("mask")});
  const Node child = module({key("w"), graph.tensor(0), key("b"), none}, {}, {},
                            {key("_version"), graph.integer(2)});
  const Node net = module({key("scale"), graph.tensor(1)},
                          {key("mask"), graph.tensor(2), key("mean"), graph.tensor(3)},
                          {key("fc"), child, key("none"), none, key("tied"), child},
                          {key("_non_persistent_buffers_set"), hidden, key("note"), graph.tensor(4),
                           key("list"), graph.list({child})});
  const Node broken =
      object(graph.dict({key("_parameters"), graph.dict({key("w"), graph.tensor(5)}),
                         key("_buffers"), none, key("_modules"), none}));
  graph.dict({key("model"), net, key("broken"), broken});
  const auto names = name_tensors(graph, graph.root());
  REQUIRE(names);
  struct Row {
    std::string name;
    int flags;
  };
  const Row rows[] = {{"model.scale", 1},
                      {"model.mean", 2},
                      {"model.fc.w", 1},
                      {"model.tied.w", 1},
                      {"model.__state__.note", 0},
                      {"model.__state__.list.0.w", 1},
                      {"model.__state__._buffers.mask", 2},
                      {"broken._parameters.w", 0}};
  REQUIRE(names->tensors.size() == std::size(rows));
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    CHECK(names->tensors[i].name == rows[i].name);
    CHECK(names->tensors[i].flags == rows[i].flags);
  }
  REQUIRE(names->modules.size() == 3);
  CHECK(names->modules[0].path == "model.fc");
  CHECK(names->modules[0].version == 2);
}

TEST_CASE("a long dictionary under many paths is refused at a bounded cost") {
  Graph graph;
  std::vector<Node> items;
  const Node number = graph.integer(1);
  for (int i = 0; i < 50'000; ++i)
    items.insert(items.end(), {number, number});
  const Node shared = graph.dict(items);
  graph.list(std::vector<Node>(50'000, shared));
  CHECK(names_of(graph)[0].find("would expand to too many names") != std::string::npos);
}

TEST_CASE("a path finds values under keys with dots") {
  Graph graph;
  const Node inner = graph.dict({graph.text("c"), graph.integer(7)});
  const Node outer = graph.dict({graph.text("a.b"), inner, graph.integer(3), graph.tensor(0)});
  graph.dict({graph.text("a"), graph.integer(1), graph.text("model"), outer});
  CHECK(*find_by_path(graph, "") == graph.root());
  CHECK(*find_by_path(graph, "model") == outer);
  CHECK(*find_by_path(graph, "model.a.b") == inner);
  const ValueGraph& read_only = graph;
  CHECK(read_only.integer(*find_by_path(graph, "model.a.b.c")) == 7);
  CHECK(find_by_path(graph, "model.3"));
  const auto missing = find_by_path(graph, "modle");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code() == ErrorCode::kInvalidArgument);
  CHECK(missing.error().message() == "there is no `modle` in it, its keys are `a`, `model`");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::format
