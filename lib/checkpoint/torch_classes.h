// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weightmap/value_graph.h"

#include "checkpoint/globals.h"

namespace weightmap::checkpoint {

// What becomes of a call of a class or function.
enum class Role : std::uint8_t {
  kPlain,  // no call, or a class that is only named
  kTensor,
  kSubclass,  // a tensor of a subclass
  kMapping,   // pairs from the argument, pairs set, attributes
  kItems,     // items of the argument
  kText,      // made from the arguments alone
  kOpaque,
};

struct Class {
  GlobalName name;
  Role role = Role::kPlain;
  ValueKind kind = ValueKind::kNone;
};

// The class or function of that name. REQUIRES: the name is a modern one (globals.h).
Class class_of(const GlobalName& modern);

}  // namespace weightmap::checkpoint
