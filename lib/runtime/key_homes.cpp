// SPDX-License-Identifier: Apache-2.0
#include "runtime/key_homes.h"

#include "base/text.h"
#include "runtime/module_walk.h"
#include "runtime/state_keys.h"

namespace weightmap {

KeyHomes::KeyHomes(Module& root) {
  std::uint32_t count = 0;
  for (ModuleWalk walk(root, ""); !walk.is_done(); walk.advance()) {
    modules_.emplace(walk.prefix(), count++);
    for (const Module::NamedModule& child : walk.module().own_children()) {
      if (child.module == nullptr) {
        modules_.emplace(concat(walk.prefix(), child.name, "."), std::nullopt);
      }
    }
  }
}

std::optional<std::uint32_t> KeyHomes::home(std::string_view key) const {
  std::optional<std::uint32_t> deepest = 0;
  for (std::size_t dot = key.find('.'); dot != std::string_view::npos;
       dot = key.find('.', dot + 1)) {
    const auto found = modules_.find(std::string(key.substr(0, dot + 1)));
    if (found == modules_.end()) break;
    deepest = found->second;
  }
  return deepest;
}

bool KeyHomes::is_extra_state(std::string_view key) const {
  if (!key.ends_with(kExtraState)) return false;
  key.remove_suffix(kExtraState.size());
  return modules_.contains(std::string(key));
}

}  // namespace weightmap
