// SPDX-License-Identifier: Apache-2.0
// What of a weight file stands in its state dict, under which keys, in which order. Whole
// checkpoints of PyTorch's are held in tests/torch/save_test.py.
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/load.h"
#include "weightmap/state_dict.h"

#include "support/built_file.h"

namespace weightmap {
namespace {

using tests::build_file;
using tests::bytes_of;
using tests::open_built;
using tests::tensor_in;
using Node = std::uint32_t;
using Pairs = std::vector<std::pair<std::string, Node>>;
using Strings = std::vector<std::string>;

// A checkpoint as people write them: {'epoch': 3, 'model': {...}, 'note': [1, {}]}.
struct Sample {
  format::Content content;
  ValueGraph& graph = content.values;

  Sample() {
    content.tensors = {tensor_in(0, "model.fc.weight", {2}), tensor_in(1, "model.fc.bias", {1}),
                       tensor_in(0, "model.head.weight", {2}),
                       tensor_in(2, "model.fc._extra_state.scale", {1})};
    content.modules = {{.path = "model", .version = 1}, {.path = "model.fc", .version = 2}};
    const Node state = dict({{"scale", tensor(3)}, {"step", number(7)}});
    const Node model = dict({{"fc.weight", tensor(0)},
                             {"fc.bias", tensor(1)},
                             {"fc._extra_state", state},
                             {"head.weight", tensor(2)}},
                            metadata());
    const Node list[] = {number(1), dict({})};
    const Node note = graph.add_parent(ValueKind::kList, list);
    dict({{"epoch", number(3)}, {"model", model}, {"note", note}});
  }

  WeightFile open() const {
    const auto floats = [](std::vector<float> values) { return bytes_of(values); };
    return open_built(build_file(content, {floats({1, 2}), floats({3}), floats({4})}));
  }

  Node number(std::uint64_t value) { return graph.add_number(ValueKind::kInt, value); }
  Node tensor(std::uint64_t value) { return graph.add_number(ValueKind::kTensor, value); }
  Node dict(const Pairs& pairs, std::optional<Node> attributes = {}) {
    std::vector<Node> children;
    for (const auto& [key, value] : pairs) {
      children.push_back(graph.add_text(ValueKind::kStr, key));
      children.push_back(value);
    }
    if (attributes) children.push_back(*attributes);
    const ValueKind kind = attributes ? ValueKind::kOrderedDict : ValueKind::kDict;
    return graph.add_parent(kind, children, {}, attributes.has_value());
  }
  Node metadata() {
    const Node root = dict({{"version", number(1)}});
    const Node fc = dict({{"version", number(2)}, {"note", number(5)}});
    return dict({{"_metadata", dict({{"", root}, {"fc", fc}})}});
  }
};

template <typename V>
Strings keys(const OrderedMap<V>& map) {
  Strings found;
  for (const auto& [name, value] : map)
    found.push_back(name);
  return found;
}

TEST_SUITE_BEGIN("runtime/state_dict_of_file");

TEST_CASE("what holds tensors is taken apart, all else is one item, in the object's order") {
  const WeightFile file = Sample().open();
  const auto state_dict = file.state_dict();
  REQUIRE(state_dict);
  CHECK(keys(*state_dict) == Strings{"epoch", "model.fc.weight", "model.fc.bias",
                                     "model.fc._extra_state", "model.head.weight", "note"});
  CHECK(state_dict->find("epoch")->value()->integer() == 3);
  CHECK(state_dict->find("note")->value()->class_name() == "list");
  CHECK(keys(state_dict->metadata()) == Strings{"model", "model.fc"});
  const StateTensor& weight = *state_dict->find("model.fc.weight")->tensor();
  CHECK(weight.view().data() == file.find("model.fc.weight")->data());
  CHECK(state_dict->find("model.head.weight")->tensor()->view().data() == weight.view().data());
  CHECK(weight.storage().size() == 8);
  CHECK(weight.origin() == file.path());
}

TEST_CASE("below a prefix, which keys and paths lose") {
  const auto state_dict = Sample().open().state_dict("model.");
  REQUIRE(state_dict);
  CHECK(keys(*state_dict) == Strings{"fc.weight", "fc.bias", "fc._extra_state", "head.weight"});
  CHECK(keys(state_dict->metadata()) == Strings{"", "fc"});
  CHECK(state_dict->metadata().find("fc")->version == 2);
  CHECK(state_dict->metadata().find("fc")->values.find("note")->integer() == 5);
  CHECK(keys(*Sample().open().state_dict("model.fc.")) ==
        Strings{"weight", "bias", "_extra_state"});
  CHECK(Sample().open().state_dict("nothing.")->empty());
}

TEST_CASE("an extra state is one item with its tensors") {
  const auto state_dict = Sample().open().state_dict();
  REQUIRE(state_dict);
  const StateValue* const state = state_dict->find("model.fc._extra_state")->value();
  REQUIRE(state != nullptr);
  CHECK(state->class_name() == "dict");
  REQUIRE(state->tensors().size() == 1);
  CHECK(state->tensors()[0].view().values<float>().value()[0] == 4);
}

TEST_CASE("a composite is one item, and its parts are none") {
  const auto file = WeightFile::open(WEIGHTMAP_TEST_DATA "/composites.wmap");
  REQUIRE(file);
  const auto state_dict = file->state_dict();
  REQUIRE(state_dict);
  const StateComposite* const q = state_dict->find("q")->composite();
  REQUIRE(q != nullptr);
  CHECK(file->composite_name(q->number) == "q");
  CHECK_FALSE(state_dict->contains("q.values"));
  CHECK(state_dict->size() >= file->composite_count());
}

TEST_CASE("a file without an object has its tensors in their order") {
  format::Content content;
  content.tensors = {tensor_in(0, "b", {2}), tensor_in(0, "a", {2})};
  const std::vector<float> values{1, 2};
  const auto state_dict = open_built(build_file(content, {bytes_of(values)})).state_dict();
  REQUIRE(state_dict);
  CHECK(keys(*state_dict) == Strings{"b", "a"});
  CHECK(state_dict->find("a")->tensor()->view().values<float>().value()[1] == 2);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
