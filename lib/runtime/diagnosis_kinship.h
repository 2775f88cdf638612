// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace weightmap {

// How far two stretches of names themselves say that they are one thing: 0 not at all, up to 1 by
// the words that they share or that are known to stand for each other; more where one is the other
// with modules around it.
double kinship(std::string_view from, std::string_view to);

// How PyTorch and what stands around it call modules that wrap others; they may be names of the
// model's own modules all the same.
bool is_wrapper(std::string_view component);

// Whether two stretches differ by numbers alone: "layers.3" and "layers.4".
bool differ_by_number(std::string_view from, std::string_view to);

}  // namespace weightmap
