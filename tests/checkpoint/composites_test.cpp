// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/composites.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/strided.h"
#include "opened.h"
#include "show.h"
#include "support/checkpoint_check.h"
#include "support/expectation.h"

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Composite;
using checkpoint::Tensor;
using nlohmann::json;
using pickle::boolean;
using pickle::call;
using pickle::dict;
using pickle::global;
using pickle::integer;
using pickle::list;
using pickle::ordered_dict;
using pickle::real;
using pickle::sizes;
using pickle::tensor;
using pickle::TensorCall;
using pickle::text;
using pickle::tuple;
using Shape = std::vector<std::int64_t>;

std::string fixture(const std::string& name) {
  return std::string(WEIGHTMAP_TEST_DATA) + "/checkpoints/composites/" + name;
}

std::string bytes_of(const Checkpoint& from, const Tensor& tensor) {
  const auto size = checked_extent_bytes(tensor.dtype, from.shape(tensor), from.strides(tensor));
  REQUIRE(size);
  std::string bytes(*size, '\0');
  if (tensor.storage == checkpoint::kNoStorage) return bytes;
  const checkpoint::Storage& storage = from.storages[tensor.storage];
  REQUIRE(from.files[0].read_at(storage.offset_bytes + tensor.offset_bytes,
                                std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

void compare_part(const json& expected, const Checkpoint& found, const Tensor& part) {
  CAPTURE(expected.at("role").get<std::string>());
  CHECK(dtype_name(part.dtype) == expected.at("dtype").get<std::string>());
  CHECK(std::ranges::equal(found.shape(part), expected.at("shape").get<Shape>()));
  CHECK(std::ranges::equal(found.strides(part), expected.at("strides").get<Shape>()));
  CHECK_FALSE(part.is_parameter);
  CHECK(bytes_of(found, part) == from_hex(expected.at("bytes")));
}

void compare(const json& expected, const Checkpoint& found, const Composite& composite) {
  CHECK(composite_kind_name(composite.kind) == expected.at("kind").get<std::string>());
  CHECK(dtype_name(composite.dtype) == expected.at("dtype").get<std::string>());
  CHECK(composite.shape == expected.at("shape").get<Shape>());
  CHECK(composite.requires_grad == expected.at("requires_grad").get<bool>());
  CHECK(composite.is_parameter == expected.at("parameter").get<bool>());
  CHECK(composite.reals == expected.at("reals").get<std::vector<double>>());
  CHECK(composite.integers == expected.at("integers").get<Shape>());
  const json& parts = expected.at("parts");
  REQUIRE(composite.parts.size() == parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK(composite.parts[i].role == parts[i].at("role").get<std::string>());
    compare_part(parts[i], found, found.tensors.at(composite.parts[i].tensor));
  }
}

void compare_attributes(const json& expected, const ValueGraph& graph, std::uint32_t node) {
  REQUIRE(graph.node(node).has_attributes == !expected.empty());
  if (expected.empty()) return;
  const auto items = graph.items(graph.children(node).back());
  REQUIRE(items.size() == 2 * expected.size());
  CHECK(expected.at(std::string(graph.text(items[0]))) == std::string(graph.text(items[1])));
}

std::map<std::string, std::uint32_t> nodes_by_key(const ValueGraph& graph) {
  std::map<std::string, std::uint32_t> nodes;
  const auto items = graph.items(graph.root());
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    nodes[std::string(graph.text(items[i]))] = items[i + 1];
  return nodes;
}

const std::string kHooks = ordered_dict({});

std::string utils(const std::string& name) {
  return global("torch._utils", name);
}

std::string longs(const Shape& shape) {
  return tensor({.key = "8",
                 .storage_class = "LongStorage",
                 .numel = 8,
                 .shape = shape,
                 .strides = Shape(shape.size(), 1)});
}

std::string floats(const Shape& shape) {
  return tensor({.shape = shape, .strides = Shape(shape.size(), 1)});
}

std::string quantized(const std::string& quantizer, const Shape& shape = {4}) {
  const std::string storage = pickle::storage({.key = "q", .storage_class = "QInt8Storage"});
  return call(utils("_rebuild_qtensor"),
              {storage, integer(0), sizes(shape), sizes(Shape(shape.size(), 1)), quantizer,
               boolean(false), kHooks});
}

std::string per_channel(const std::string& scales,
                        const std::string& zero_points,
                        const std::string& axis = integer(0)) {
  return quantized(tuple({global("torch", "per_channel_affine"), scales, zero_points, axis}));
}

std::string sparse(const std::string& layout, const std::vector<std::string>& data) {
  const std::string known = call(global("torch.serialization", "_get_layout"), {text(layout)});
  return call(utils("_rebuild_sparse_tensor"), {known, tuple(data)});
}

std::string script_sparse(const std::vector<std::string>& arguments) {
  return call(utils("_rebuild_sparse_tensor"), arguments);
}

std::string nested(const std::vector<std::string>& parts) {
  return call(utils("_rebuild_nested_tensor"), parts);
}

Result<Checkpoint> opened(const std::string& value) {
  return open_value(dict({text("w"), value}),
                    {{"0", noise(16)}, {"8", noise(64)}, {"q", noise(4)}});
}

std::string doubles(const Shape& shape) {
  return tensor({.key = "8",
                 .storage_class = "DoubleStorage",
                 .numel = 8,
                 .shape = shape,
                 .strides = Shape(shape.size(), 1)});
}

TEST_SUITE("checkpoint/composites") {
  TEST_CASE("every composite is what PyTorch saw in it") {
    for (const std::string version : {"torch-1.13", "torch-2.13"}) {
      CAPTURE(version);
      const auto found = checkpoint::open_checkpoint(fixture(version + ".pt"), {});
      REQUIRE_MESSAGE(found, message_of(found));
      CHECK(broken_promise(*found) == "");
      const json expected = json::parse(read_file(fixture(version + ".parts.json")));
      CHECK(expected.size() >= 20);
      auto nodes = nodes_by_key(found->values);
      for (const json& one : expected) {
        const std::string name = one.at("name");
        CAPTURE(name);
        const ValueNode& node = found->values.node(nodes.at(name));
        REQUIRE(node.kind == ValueKind::kComposite);
        compare(one, *found, found->composites.at(node.number));
        compare_attributes(one.at("attributes"), found->values, nodes.at(name));
      }
      // The same object under two keys is one; all others are apart.
      CHECK(nodes.at("again") == nodes.at("coo"));
      CHECK(found->composites.size() == expected.size() - 1);
      CHECK(found->values.node(nodes.at("csr.values")).kind == ValueKind::kTensor);
    }
  }

  TEST_CASE("TorchScript's sparse and quantized buffers are what PyTorch sees in them") {
    const auto found = checkpoint::open_checkpoint(fixture("script-2.13.pt"), {});
    REQUIRE_MESSAGE(found, message_of(found));
    CHECK(broken_promise(*found) == "");
    const json expected = json::parse(read_file(fixture("script-2.13.parts.json")));
    REQUIRE(expected.size() == 7);
    // In the state of the module, which is an object.
    const std::uint32_t state = found->values.items(found->values.root())[2];
    const auto items = found->values.items(state);
    for (const json& one : expected) {
      const std::string name = one.at("name");
      CAPTURE(name);
      const auto key = std::ranges::find(
          items, name, [&](std::uint32_t node) { return std::string(found->values.text(node)); });
      REQUIRE(key != items.end());
      const ValueNode& node = found->values.node(key[1]);
      REQUIRE(node.kind == ValueKind::kComposite);
      compare(one, *found, found->composites.at(node.number));
      CHECK(found->composites.at(node.number).is_buffer);
    }
  }

  TEST_CASE("no part belongs to two composites or stands for itself") {
    const auto found = checkpoint::open_checkpoint(fixture("torch-2.13.pt"), {});
    REQUIRE(found);
    std::vector<int> uses(found->tensors.size());
    for (const Composite& composite : found->composites)
      for (const checkpoint::CompositePart& part : composite.parts)
        ++uses.at(part.tensor);
    for (const ValueNode& node : found->values.nodes())
      if (node.kind == ValueKind::kTensor) ++uses.at(node.number);
    CHECK(std::ranges::all_of(uses, [](int count) { return count == 1; }));
  }

  TEST_CASE("a part that several composites have in common is one storage") {
    const std::string indices = longs({1, 2}) + pickle::put(40);
    const std::string first = sparse("torch.sparse_coo", {indices, floats({2}), sizes({3})});
    const std::string second =
        sparse("torch.sparse_coo", {pickle::get(40), floats({2}), sizes({3})});
    const auto found = opened(list({first, second}));
    REQUIRE_MESSAGE(found, message_of(found));
    REQUIRE(found->composites.size() == 2);
    CHECK(found->tensors.size() == 4);
    CHECK(found->storages.size() == 2);
    CHECK(broken_promise(*found) == "");
  }

  TEST_CASE("older ways to write the same are read") {
    const auto bare = opened(sparse("torch.sparse_coo", {longs({1, 2}), floats({2}), sizes({3})}));
    REQUIRE_MESSAGE(bare, message_of(bare));
    CHECK(bare->composites[0].integers == Shape{0});
    const auto single =
        opened(sparse("torch.sparse_coo", {longs({1, 1}), floats({1}), sizes({3}), "N"}));
    REQUIRE_MESSAGE(single, message_of(single));
    CHECK(single->composites[0].integers == Shape{1});
    const std::string csr =
        call(utils("_rebuild_sparse_csr_tensor"),
             {call(global("torch.serialization", "_get_layout"), {text("torch.sparse_csr")}),
              tuple({longs({3}), longs({2}), floats({2}), sizes({2, 2})})});
    const auto old = opened(csr);
    REQUIRE_MESSAGE(old, message_of(old));
    CHECK(old->composites[0].kind == CompositeKind::kSparseCsr);
  }

  TEST_CASE("composites that PyTorch could not have written are refused by name") {
    struct Row {
      std::string value;
      ErrorCode code;
      std::string text;
    };
    const auto corrupt = ErrorCode::kCorrupt;
    const auto unsupported = ErrorCode::kUnsupported;
    const std::string affine = global("torch", "per_tensor_affine");
    const std::string coo = "torch.sparse_coo";
    const std::string csr = "torch.sparse_csr";
    const std::string attribute = call(
        global("torch._tensor", "_rebuild_from_type_v2"),
        {utils("_rebuild_tensor"), global("torch", "Tensor"),
         tuple({pickle::storage({}), integer(0), sizes({2}), sizes({1})}), dict({text("a"), "N"})});
    const Row rows[] = {
        {quantized("N"), corrupt, "the quantizer is not a tuple"},
        {quantized(tuple({})), corrupt, "the scheme is missing"},
        {quantized(tuple({affine, integer(1), integer(0)})), corrupt, "the scale is not a float"},
        {quantized(tuple({affine, real(INFINITY), integer(0)})), corrupt, "its scale is no number"},
        {quantized(tuple({affine, real(1)})), corrupt, "the zero point is missing"},
        {quantized(tuple({affine, real(1), integer(0), "N"})), unsupported,
         "has more to it than is known"},
        {quantized(tuple({global("torch", "per_tensor_symmetric"), real(1), integer(0)})),
         unsupported, "the scheme `torch.per_tensor_symmetric`, which is not known"},
        {quantized(tuple({affine, real(1), integer(0)}), {5}), corrupt,
         "does not lie inside its storage"},
        {call(utils("_rebuild_qtensor"),
              {pickle::storage({}), integer(0), sizes({4}), sizes({1}),
               tuple({affine, real(1), integer(0)}), boolean(false), kHooks}),
         corrupt, "a tensor of the dtype float32, which cannot be quantized"},
        {per_channel(doubles({4}), longs({4}), integer(1)), corrupt, "its axis is no dimension"},
        {per_channel(doubles({4}), longs({4}), integer(-1)), corrupt, "its axis is no dimension"},
        {per_channel(doubles({3}), longs({4})), corrupt, "one scale and one zero point for each"},
        {per_channel(doubles({4}), longs({2, 2})), corrupt, "one scale and one zero point"},
        {per_channel(doubles({4}), doubles({4})), corrupt, "of no dtypes that go together"},
        {per_channel(floats({4}), longs({4})), corrupt, "of no dtypes that go together"},
        {per_channel(list({real(1)}), list({integer(0)})), unsupported,
         "the part `scales`: is no tensor"},
        {per_channel(quantized(tuple({affine, real(1), integer(0)})), longs({4})), unsupported,
         "the part `scales`: is itself made of several tensors"},
        {sparse("torch.strided", {}), unsupported,
         "the layout `torch.strided`, which is not known"},
        {call(utils("_rebuild_sparse_tensor"), {text(coo), tuple({})}), unsupported,
         "the layout ``, which is not known"},
        {call(utils("_rebuild_sparse_tensor"), {}), corrupt, "the layout is missing"},
        {sparse(coo, {longs({1, 2})}), corrupt, "the part `values` is missing"},
        {sparse(coo, {longs({1, 2}), floats({2})}), corrupt, "the shape is missing"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes({3}), boolean(true), "N"}), unsupported,
         "has more to it than is known"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes({3}), integer(1)}), corrupt,
         "is_coalesced is not True or False"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes({-3})}), corrupt, "a size or stride that"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes(Shape(65, 1))}), unsupported,
         "65 dimensions, at most 64"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes({std::int64_t{1} << 62, 4})}), corrupt,
         "a shape of ["},
        {sparse(coo, {floats({1, 2}), floats({2}), sizes({3})}), corrupt, "no matrix of int64"},
        {sparse(coo, {longs({2}), floats({2}), sizes({3})}), corrupt, "no matrix of int64"},
        {sparse(coo, {longs({1, 2}), floats({3}), sizes({3})}), corrupt,
         "a sparse_coo tensor of [3]: it has not one value for each index"},
        {sparse(coo, {longs({1, 2}), floats({}), sizes({3})}), corrupt, "not one value for each"},
        {sparse(coo, {longs({1, 2}), floats({2}), sizes({3, 3})}), corrupt,
         "its shape is not that"},
        {sparse(coo, {longs({2, 2}), floats({2}), sizes({3})}), corrupt, "its shape is not that"},
        {sparse(coo, {longs({1, 2}), text("v"), sizes({3})}), unsupported,
         "the part `values`: is no tensor"},
        {sparse(coo, {longs({1, 2}), attribute, sizes({3})}), unsupported,
         "the part `values`: has attributes of its own"},
        {sparse(csr, {longs({3}), floats({2}), floats({2}), sizes({2, 2})}), corrupt,
         "its indices are not both"},
        {sparse(csr, {floats({3}), longs({2}), floats({2}), sizes({2, 2})}), corrupt,
         "its indices are not both"},
        {sparse(csr, {longs({}), longs({}), floats({}), sizes({2, 2})}), corrupt,
         "its shape is not that"},
        {sparse(csr, {longs({3, 1}), longs({2}), floats({2}), sizes({2, 2})}), corrupt,
         "its shape is not that"},
        {sparse(csr, {longs({3}), longs({2}), floats({2}), sizes({2})}), corrupt,
         "its shape is not that"},
        {sparse("torch.sparse_bsr", {longs({3}), longs({2}), floats({2}), sizes({2, 2})}), corrupt,
         "its shape is not that"},
        {sparse(csr, {longs({3}), longs({2}), floats({3}), sizes({2, 2})}), corrupt,
         "not one value for each index"},
        {script_sparse({integer(3), sizes({3}), boolean(false)}), unsupported,
         "the layout 3, which is not known"},
        {script_sparse({integer(1), "N"}), corrupt, "the shape is not a tuple"},
        {script_sparse({integer(1), sizes({3}), integer(0)}), corrupt,
         "requires_grad is not True or False"},
        {script_sparse({integer(1), sizes({3}), boolean(false), longs({1, 2})}), corrupt,
         "the part `values` is missing"},
        {script_sparse({integer(1), sizes({3}), boolean(false), longs({1, 2}), floats({2})}),
         corrupt, "the hooks is missing"},
        {script_sparse(
             {integer(1), sizes({4, 4}), boolean(false), longs({1, 2}), floats({2}), kHooks}),
         corrupt, "its shape is not that"},
        {script_sparse({integer(2), sizes({2, 2}), boolean(false), longs({3}), longs({2}),
                        floats({2}), kHooks, kHooks}),
         unsupported, "has more"},
        {nested({floats({4}), longs({1, 1}), longs({1, 1})}), corrupt,
         "the part `offsets` is missing"},
        {nested({floats({2, 2}), longs({1, 1}), longs({1, 1}), longs({1})}), corrupt,
         "do not go together"},
        {nested({floats({4}), longs({1, 1}), longs({1, 2}), longs({1})}), corrupt,
         "do not go together"},
        {nested({floats({4}), longs({1, 1}), longs({1, 1}), longs({2})}), corrupt,
         "do not go together"},
        {nested({floats({4}), floats({1, 1}), longs({1, 1}), longs({1})}), corrupt,
         "do not go together"},
        {nested({floats({4}), longs({}), longs({}), longs({1})}), corrupt, "do not go together"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.text);
      const auto found = opened(row.value);
      REQUIRE_FALSE(found);
      CAPTURE(found.error().message());
      CHECK(found.error().code() == row.code);
      CHECK(contains(found.error().message(), "data.pkl: `w`: "));
      CHECK(contains(found.error().message(), row.text));
    }
  }
}

}  // namespace
}  // namespace weightmap::tests
