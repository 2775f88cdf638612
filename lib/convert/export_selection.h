// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

// What of a checkpoint's object goes into a pickle.
namespace weightmap::convert {

struct Selection {
  std::vector<bool> is_opaque;         // by node: of a class that is not known
  std::vector<bool> is_clean;          // by node: neither opaque nor around anything that is
  std::vector<std::uint32_t> holders;  // by node: how many values hold it; 0: it is left out
  std::vector<bool> has_attributes;    // by node: its attributes are written
  std::vector<std::string> dropped;    // "args: an object of argparse.Namespace"
};

// All but opaque objects. Errors: kUnsupported, naming every class and where the first stands, or a
// tensor that nothing holds which is written and that is no buffer, unless they are to be dropped;
// for a root that is opaque in any case.
Result<Selection> select_values(const WeightFile& file, const ValueGraph& values, bool drop_opaque);

// The children that a pickle writes as the items of a container: keys and values, or items; in a
// list or tuple kDroppedItem where an opaque object was. Of an object: its arguments, and its state
// if it has one. Of a jagged nested tensor: what kJaggedArguments (jagged.h) stand for.
inline constexpr std::uint32_t kDroppedItem = 0xFFFFFFFFU;
std::vector<std::uint32_t> written_items(const WeightFile& file,
                                         const ValueGraph& values,
                                         const Selection& selection,
                                         std::uint32_t node);

std::string dotted(std::string_view global);  // "module\nname" as people write it

// Whether the node is a tensor of a subclass.
bool is_of_subclass(const WeightFile& file, const ValueNode& node);

// Whether it is PyTorch's nested tensor of jagged layout: it has one number, where any other tensor
// of a subclass has one more than dimensions or none.
bool is_jagged(const CompositeView& composite);

// A graph for a file without one: names to tensors, with the modules' versions as `_metadata`.
// `left_out`: which tensors are not in it, by number; empty: all are.
ValueGraph values_of_names(const WeightFile& file, const std::vector<bool>& left_out = {});

}  // namespace weightmap::convert
