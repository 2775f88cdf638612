// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "format/content.h"

// From an object that holds tensors to names: each tensor under the dotted path to it.
namespace weightmap::format {

// Bounds on what shared containers may expand to: each stands under every path that leads to it,
// and a few bytes of pickle can make more paths than a machine has memory.
struct NamingLimits {
  // `holders`: what find_holders says of it. In time of its size.
  NamingLimits(const ValueGraph& graph, const std::vector<bool>& holders);
  std::uint64_t steps;
  std::uint64_t name_bytes;
};

bool is_tensor(ValueKind kind);  // or a composite, which is named as one

// By node: whether it is a tensor, or holds one.
std::vector<bool> find_holders(const ValueGraph& graph);

// The words that paths are made of: a key, nothing when it is neither a string nor an integer; and
// how they follow one another.
std::optional<std::string> path_component(const ValueGraph& graph, std::uint32_t key);
std::string joined_path(std::string_view path, std::string_view component);

// Place of an opaque object's state among its children (value_graph.h).
inline constexpr std::size_t kOpaqueState = 2;

bool is_sequence(ValueKind kind);  // its items are named by their positions

// The value of a mapping under a string; nothing for what is no mapping.
std::optional<std::uint32_t> value_of_key(const ValueGraph& graph,
                                          std::uint32_t mapping,
                                          std::string_view key);

inline constexpr std::uint32_t kNoOwner = 0xFFFFFFFFU;

struct NamedTensor {
  std::string name;
  std::uint32_t node = 0;          // of the graph: a kTensor or kComposite
  std::uint16_t flags = 0;         // EntryFlag: parameter or buffer, where its module says so
  std::uint32_t owner = kNoOwner;  // in Names::tensors: the tensor of a subclass that it is part of
};

struct NamedModule {
  std::string path;
  std::int64_t version = 0;
};

struct Names {
  std::vector<NamedTensor> tensors;  // in definition order
  // From the `_metadata` of each ordered_dict, and `_version` in a module's state; paths unique.
  std::vector<NamedModule> modules;
};

// Names everything below `root`. A tensor that is the root is called "tensor". Composites are named
// as tensors are. What of `composites` is a tensor of a subclass owns the tensors in its state,
// which stand behind it: `<its name>.<path in the state>`; a composite in there is a key of its
// own. Path of a value: dictionary keys that are strings or integers, positions in lists and
// tuples; what belongs to an object of an unknown class: the items of its state under its own path,
// its arguments below `__args__`. A pickled module (an opaque object with `_parameters`, `_buffers`
// and `_modules` in its state) has the names that its state_dict() would have: parameters, then
// buffers that are not in `_non_persistent_buffers_set`, then the modules below it; what
// get_extra_state() would return is not known. Behind them come the tensors that state_dict()
// leaves out, by where they are: `<path>.__state__.<attribute>`,
// `<path>.__state__._buffers.<name>`. Errors: kUnsupported, naming the place: a tensor that is, or
// lies under, a key that is neither string nor integer; more paths than NamingLimits allow.
Result<Names> name_tensors(const ValueGraph& graph,
                           std::uint32_t root,
                           std::span<const CompositeContent> composites = {});

// The value under a dotted path, where keys may have dots themselves. "" is the root.
// Errors: kInvalidArgument, telling the keys there are.
Result<std::uint32_t> find_by_path(const ValueGraph& graph, std::string_view path);

}  // namespace weightmap::format
