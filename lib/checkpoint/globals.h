// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
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

// What pickles name ("collections.OrderedDict", as they write it), ascending.
using GlobalList = std::map<std::string, GlobalTrust>;
inline constexpr std::size_t kMostGlobals = 10'000;  // in a list

// Error: kUnsafe for what only an attack names; if strict, for all that is not listed. With a list,
// it is noted there instead, and nothing is refused but more than kMostGlobals: kUnsupported.
Result<void> check_global(const GlobalName& global, bool strict, GlobalList* list = nullptr);

// "collections.OrderedDict", for messages.
std::string global_text(const GlobalName& global);

}  // namespace weightmap::checkpoint
