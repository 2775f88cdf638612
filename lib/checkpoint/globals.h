// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weightmap/result.h"

namespace weightmap::checkpoint {

// A class or function as a pickle names it. Only the name: nothing is ever looked up or called.
struct GlobalName {
  std::string_view module;
  std::string_view name;  // with dots: an attribute of an attribute

  friend bool operator==(const GlobalName&, const GlobalName&) = default;
};

enum class GlobalTrust : std::uint8_t {
  kListed,   // torch.load(weights_only=True) takes it
  kUnknown,  // any other class or function
  kAttack,   // in a checkpoint, nothing but an attack names it
};

GlobalTrust trust_in(const GlobalName& global);

// The same thing under the name that it has today: Python 2's `__builtin__` is `builtins`.
GlobalName modern_name(const GlobalName& global);

// Error: kUnsafe for what only an attack names; if strict, for all that is not listed.
Result<void> check_global(const GlobalName& global, bool strict);

// "collections.OrderedDict", for messages.
std::string global_text(const GlobalName& global);

}  // namespace weightmap::checkpoint
