// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "convert/plan.h"
#include "format/content.h"

// What tensors of subclasses are made of besides their parts, when a graph of values is made anew.
namespace weightmap::convert {

inline constexpr std::uint32_t kLeftOut = 0xFFFFFFFFU;

// What entries and composites become: by number, the new one or kLeftOut.
struct NewNumbers {
  std::vector<std::uint32_t> tensors;
  std::vector<std::uint32_t> composites;
};

// Gives tensors that are left out the number of one that is kept and is the same tensor under
// another name: a part, and a key of its own.
void number_twins(const std::vector<format::TensorContent>& tensors,
                  std::vector<std::uint32_t>& new_numbers);

// Copies the states of those kept composites that are tensors of subclasses: by old number, the new
// graph's node, or kLeftOut where there is none. Error: kInvalidArgument for a state with a tensor
// that is left out.
Result<std::vector<std::uint32_t>> copy_states(const Plan& from,
                                               const NewNumbers& numbers,
                                               ValueGraph& into);

}  // namespace weightmap::convert
