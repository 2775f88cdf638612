// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/module.h"
#include "weightmap/state_dict.h"

#include "runtime/module_walk.h"

namespace weightmap {

// One state_dict() from start to end.
class StateDictWriter {
 public:
  StateDictWriter(Module& root, StateDict& into, const StateDictOptions& options);
  void run();

  // What a slot has, under its own shape; without bytes a meta tensor.
  static StateTensor tensor_of(const Slot& slot, bool is_parameter, bool keep_vars);

 private:
  void enter_module();
  void leave_module(Module& module, const std::string& prefix);

  ModuleWalk walk_;
  StateDict& into_;
  bool keep_vars_;
};

}  // namespace weightmap
