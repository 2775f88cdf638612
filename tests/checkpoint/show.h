// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "weightmap/value_graph.h"

#include "checkpoint/pickle.h"

// Decoded things as a line of text, in Python's notation where it has one.
namespace weightmap::tests {

// A call: module.name(arguments)(**keywords) += [appended] |= {set items} <- state
std::string show(const checkpoint::Pickle& pickle);

// A tensor: tensor0, with attributes tensor0 @{...}. An opaque object: as a call.
std::string show(const ValueGraph& graph);

}  // namespace weightmap::tests
