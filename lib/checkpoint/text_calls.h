// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "weightmap/value_graph.h"

#include "checkpoint/graph_builder.h"
#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// What a call of a type that is nothing but text or bytes makes, as the text of its ValueNode:
// kBytes and kByteArray (`_codecs.encode`, `builtins.bytes`, `builtins.bytearray`), kComplex,
// kDevice. Nothing: the arguments are not those that the type's own pickles have.
// A text may be the argument of many calls: each pays for it.
std::optional<std::string> text_of_call(const Pickle& pickle,
                                        const PickleCall& call,
                                        ValueKind kind,
                                        Budget& budget);

}  // namespace weightmap::checkpoint
