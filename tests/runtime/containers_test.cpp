// SPDX-License-Identifier: Apache-2.0
// The names are those that torch.nn's containers of the same trees gave.
#include "weightmap/containers.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "support/names.h"

namespace weightmap {
namespace {

using tests::names;
using Strings = std::vector<std::string>;

struct Linear : Module {
  Linear(Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
  Parameter<float> weight, bias;
};

TEST_SUITE_BEGIN("runtime/containers");

TEST_CASE("a list names its modules by number") {
  struct Net : Module {
    ModuleList<Linear> layers{*this, "layers"};
  } net;
  for (int i = 0; i < 11; ++i)
    net.layers.emplace_back(2, 3);
  const Strings found = names(net.named_parameters());
  CHECK(found.size() == 22);
  CHECK(found.front() == "layers.0.weight");
  CHECK(found.back() == "layers.10.bias");
  CHECK(net.layers.size() == 11);
  CHECK(&*net.layers.begin() == &net.layers[0]);
  std::size_t count = 0;
  for (const Linear& layer : net.layers)
    count += layer.weight.element_count() == 6 ? 1 : 0;
  CHECK(count == 11);
}

TEST_CASE("a sequential counts what has no state, too") {
  Sequential net;
  auto& first = net.emplace_back<Linear>(4, 8);
  net.emplace_back<Stateless>();
  net.emplace_back<Linear>(8, 2);
  CHECK(names(net.named_parameters()) == Strings{"0.weight", "0.bias", "2.weight", "2.bias"});
  CHECK(names(net.named_modules()) == Strings{"", "0", "1", "2"});
  CHECK(&net[0] == &first);
  CHECK(net.class_name() == "Sequential");
}

TEST_CASE("a dict names its modules by key, and finds them") {
  struct Net : Module {
    ModuleDict<> heads{*this, "heads"};
  } net;
  const auto& digits = net.heads.emplace<Linear>("digits", 2, 3);
  net.heads.emplace<Stateless>("none");
  CHECK(names(net.named_parameters()) == Strings{"heads.digits.weight", "heads.digits.bias"});
  CHECK(net.heads.find("digits") == &digits);
  CHECK(net.heads.find("letters") == nullptr);
  CHECK(net.heads.size() == 2);
}

TEST_CASE("lists and dicts of parameters name them by number and by key") {
  struct Net : Module {
    ParameterList<float> scales{*this, "scales"};
    ParameterDict<float> by_name{*this, "by_name"};
  } net;
  const auto& first = net.scales.emplace_back({2});
  net.scales.emplace_back({3, 4});
  net.by_name.emplace("left", {});
  CHECK(names(net.named_parameters()) == Strings{"scales.0", "scales.1", "by_name.left"});
  CHECK(&net.scales[0] == &first);
  CHECK(net.scales[1].element_count() == 12);
  CHECK(net.by_name.find("left")->element_count() == 1);
  CHECK(net.by_name.find("right") == nullptr);
  CHECK(net.parameters().size() == net.scales.size() + net.by_name.size());
}

TEST_CASE("a name that is taken in a dict is a registration error") {
  ModuleDict<Stateless> heads;
  heads.emplace("a");
  heads.emplace("a");
  REQUIRE(heads.registration_errors().size() == 1);
  CHECK(heads.registration_errors()[0] == "attribute 'a' already exists");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
