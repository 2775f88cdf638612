// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diff.h"

#include "base/text.h"
#include "convert/diff_side.h"

namespace weightmap::convert {

// What a name stands for on one side.
struct DiffKey {
  const SideTensor* tensor = nullptr;
  const CompositeView* composite = nullptr;

  std::string_view name() const { return tensor ? tensor->view.name() : composite->name(); }
};

// A name, or the part of a composite, that is on both sides.
struct DiffMatch {
  std::string_view name;
  std::string_view part;  // its role; else empty
  DiffKey first;
  DiffKey second;

  bool are_tensors() const { return first.tensor && second.tensor; }
  bool are_composites() const { return first.composite && second.composite; }
  std::string full_name() const {
    return part.empty() ? std::string(name) : concat(name, ".", part);
  }
};

// Every name that both have, and the parts of composites behind them. Names that only one has, and
// how many there are, go into the report. The matches refer to the sides.
std::vector<DiffMatch> match_names(const DiffSide& first,
                                   const DiffSide& second,
                                   DiffReport& report);

// By match: tensors that are the same elements have one number; what has no elements has its own.
std::vector<std::uint32_t> places_of(std::span<const DiffMatch> matches, DiffKey DiffMatch::*side);

// Names of one place here that are not of one place there.
std::vector<std::vector<std::string>> ties_only_in(std::span<const DiffMatch> matches,
                                                   std::span<const std::uint32_t> here,
                                                   std::span<const std::uint32_t> there);

}  // namespace weightmap::convert
