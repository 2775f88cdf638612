// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

// From an object that holds tensors to names: each tensor under the dotted path to it.
namespace weightmap::convert {

// Bounds on what shared containers may expand to: each stands under every path that leads to it,
// and a few bytes of pickle can make more paths than a machine has memory.
struct NamingLimits {
  static constexpr std::uint64_t kStepsPerNode = 16;
  static constexpr std::uint64_t kFreeSteps = 100'000;
  static constexpr std::uint64_t kNameBytesPerNode = 256;
  static constexpr std::uint64_t kFreeNameBytes = std::uint64_t{64} << 20U;
};

struct NamedTensor {
  std::string name;
  std::uint32_t node = 0;  // of the graph: a kTensor or kComposite
};

struct NamedModule {
  std::string path;
  std::int64_t version = 0;
};

struct Names {
  std::vector<NamedTensor> tensors;  // in definition order
  std::vector<NamedModule> modules;  // from the `_metadata` of each ordered_dict, paths unique
};

// Names everything below `root`. A tensor that is the root is called "tensor". Composites are named
// as tensors are.
// Path of a value: dictionary keys that are strings or integers, positions in lists and tuples;
// what belongs to an object of an unknown class: the items of its state under its own path, its
// arguments below `__args__`. Errors: kUnsupported, naming the place: a tensor under a key that is
// neither string nor integer, more paths than NamingLimits allow.
Result<Names> name_tensors(const ValueGraph& graph, std::uint32_t root);

// The value under a dotted path, where keys may have dots themselves. "" is the root.
// Errors: kInvalidArgument, telling the keys there are.
Result<std::uint32_t> find_by_path(const ValueGraph& graph, std::string_view path);

}  // namespace weightmap::convert
