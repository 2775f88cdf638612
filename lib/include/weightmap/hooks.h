// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/state_dict.h"

// What user code can put between the steps of state_dict and load_state_dict, in the order of
// events that PyTorch has. Hooks run on the calling thread. They must not register or remove
// modules and slots meanwhile, nor load or bind slots of the tree that is being loaded. What they
// do besides editing what they are given, and what a `set_extra_state` does, is theirs: it stays
// when the load fails in the end.
namespace weightmap {

class Module;

// The keys that do not fit, as far as they are known: a load post-hook may edit both lists.
struct IncompatibleKeys {
  std::vector<std::string>& missing;
  std::vector<std::string>& unexpected;
};

// One module's step of a load, `_load_from_state_dict` in PyTorch. No slot changes before all steps
// are done.
struct LoadStep {
  // The keys that begin with `prefix`, all of them at the root: a copy, which this module's hooks
  // may edit, for itself and its children.
  StateDict& state_dict;
  std::string prefix;              // "layers.0." or ""
  const ModuleMetadata& metadata;  // this module's; empty where there is none
  bool assign = false;             // slots will be pointed, not copied into
  IncompatibleKeys keys;
  std::vector<std::string>& error_messages;  // each one makes the load fail
  // What happens in a module whose step is not replaced: pre-hooks, slots, extra state, unexpected
  // keys. To be called once, or never.
  std::function<void()> load_own;
};

using StateDictPreHook = std::function<void(Module&, std::string_view prefix, bool keep_vars)>;
using StateDictPostHook =
    std::function<void(Module&, StateDict&, std::string_view prefix, ModuleMetadata&)>;
using LoadPreHook = std::function<void(Module&, LoadStep&)>;
using LoadPostHook = std::function<void(Module&, IncompatibleKeys&)>;

// A tensor or a value under the key `…_extra_state`.
using GetExtraState = std::function<StateItem()>;
using SetExtraState = std::function<Result<void>(const StateItem&)>;

// In place of `_save_to_state_dict` and `_load_from_state_dict`: one module's own entries, not its
// children's.
using SaveStepFunction =
    std::function<void(StateDict& destination, std::string_view prefix, bool keep_vars)>;
using LoadStepFunction = std::function<void(LoadStep&)>;

// Takes back what was registered; harmless afterwards, and when the module is gone.
class RemovableHandle {
 public:
  explicit RemovableHandle(std::function<void()> remove) : remove_(std::move(remove)) {}
  void remove() {
    if (const auto once = std::exchange(remove_, nullptr)) once();
  }

 private:
  std::function<void()> remove_;
};

}  // namespace weightmap
