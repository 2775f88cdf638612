// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "weightmap/hooks.h"
#include "weightmap/module.h"

namespace weightmap {

// Functions in the order in which they were registered.
template <typename Hook>
class HookList {
 public:
  std::uint64_t add(Hook hook) {
    hooks_.emplace_back(++last_, std::move(hook));
    return last_;
  }
  void remove(std::uint64_t number) {
    std::erase_if(hooks_, [number](const auto& hook) { return hook.first == number; });
  }
  bool empty() const { return hooks_.empty(); }

  // A hook may remove itself, or others.
  template <typename Call>
  void for_each(const Call& call) const {
    const auto hooks = hooks_;
    for (const auto& [number, hook] : hooks)
      call(hook);
  }

  template <typename... Arguments>
  void run(Arguments&... arguments) const {
    for_each([&](const Hook& hook) { hook(arguments...); });
  }

 private:
  std::vector<std::pair<std::uint64_t, Hook>> hooks_;
  std::uint64_t last_ = 0;
};

// What few modules have.
struct Module::Hooks {
  HookList<StateDictPreHook> state_dict_pre;
  HookList<StateDictPostHook> state_dict_post;
  HookList<LoadPreHook> load_pre;
  HookList<LoadPostHook> load_post;
  GetExtraState get_extra_state;
  SetExtraState set_extra_state;
  SaveStepFunction save_step;
  LoadStepFunction load_step;

  bool has_part_in_loading() const {
    return !load_pre.empty() || !load_post.empty() || set_extra_state || load_step;
  }
};

// Whether a load asks the module for more than its slots.
inline bool has_load_hooks(const Module& module) {
  return module.hooks_ != nullptr && module.hooks_->has_part_in_loading();
}

inline bool takes_extra_state(const Module& module) {
  return module.hooks_ != nullptr && module.hooks_->set_extra_state != nullptr;
}

}  // namespace weightmap
