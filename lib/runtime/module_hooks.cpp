// SPDX-License-Identifier: Apache-2.0
#include "runtime/module_hooks.h"

#include <memory>

namespace weightmap {
namespace {

// The handle outlives the module, perhaps.
template <typename Hooks, typename Hook>
RemovableHandle add_hook(const std::shared_ptr<Hooks>& hooks,
                         HookList<Hook> Hooks::*list,
                         Hook hook) {
  const std::uint64_t number = ((*hooks).*list).add(std::move(hook));
  return RemovableHandle([list, number, weak = std::weak_ptr<Hooks>(hooks)] {
    if (const auto alive = weak.lock()) ((*alive).*list).remove(number);
  });
}

}  // namespace

const std::shared_ptr<Module::Hooks>& Module::hooks() {
  if (hooks_ == nullptr) hooks_ = std::make_shared<Hooks>();
  return hooks_;
}

RemovableHandle Module::register_state_dict_pre_hook(StateDictPreHook hook) {
  return add_hook(hooks(), &Hooks::state_dict_pre, std::move(hook));
}

RemovableHandle Module::register_state_dict_post_hook(StateDictPostHook hook) {
  return add_hook(hooks(), &Hooks::state_dict_post, std::move(hook));
}

RemovableHandle Module::register_load_state_dict_pre_hook(LoadPreHook hook) {
  return add_hook(hooks(), &Hooks::load_pre, std::move(hook));
}

RemovableHandle Module::register_load_state_dict_post_hook(LoadPostHook hook) {
  return add_hook(hooks(), &Hooks::load_post, std::move(hook));
}

void Module::register_extra_state(GetExtraState get, SetExtraState set) {
  hooks()->get_extra_state = std::move(get);
  hooks()->set_extra_state = std::move(set);
}

void Module::replace_save_to_state_dict(SaveStepFunction step) {
  hooks()->save_step = std::move(step);
}

void Module::replace_load_from_state_dict(LoadStepFunction step) {
  hooks()->load_step = std::move(step);
}

}  // namespace weightmap
