// SPDX-License-Identifier: Apache-2.0
// What torch.nn.Module's named_parameters and its like yield.
#include <unordered_set>

#include "weightmap/module.h"

#include "base/text.h"
#include "runtime/module_walk.h"

namespace weightmap {
namespace {

using NamedSlots = std::vector<Module::NamedSlot>;
using OwnSlots = std::span<const Module::NamedSlot> (Module::*)() const;

std::string with_dot(const std::string& prefix) {
  return prefix.empty() ? prefix : prefix + '.';
}

std::string without_dot(std::string_view prefix) {
  return std::string(prefix.substr(0, prefix.rfind('.')));
}

// Gives each module, or each only when it is first met.
template <typename Use>
void for_each_module(Module& root, const ModuleNaming& naming, const Use& use) {
  std::unordered_set<const Module*> seen;
  for (ModuleWalk walk(root, with_dot(naming.prefix)); !walk.is_done(); walk.advance()) {
    if (naming.remove_duplicate && !seen.insert(&walk.module()).second) {
      walk.skip_children();
      continue;
    }
    use(walk);
    if (!naming.recurse) return;
  }
}

NamedSlots named_slots(Module& root, const ModuleNaming& naming, OwnSlots own_slots) {
  NamedSlots found;
  std::unordered_set<const Slot*> seen;
  for_each_module(root, naming, [&](const ModuleWalk& walk) {
    for (const Module::NamedSlot& named : (walk.module().*own_slots)()) {
      if (named.slot == nullptr) continue;
      if (naming.remove_duplicate && !seen.insert(named.slot).second) continue;
      found.push_back({.name = concat(walk.prefix(), named.name),
                       .slot = named.slot,
                       .persistent = named.persistent});
    }
  });
  return found;
}

std::vector<Slot*> without_names(const NamedSlots& named) {
  std::vector<Slot*> slots;
  slots.reserve(named.size());
  for (const Module::NamedSlot& slot : named)
    slots.push_back(slot.slot);
  return slots;
}

}  // namespace

NamedSlots Module::named_parameters(const ModuleNaming& naming) {
  return named_slots(*this, naming, &Module::own_parameters);
}

NamedSlots Module::named_buffers(const ModuleNaming& naming) {
  return named_slots(*this, naming, &Module::own_buffers);
}

std::vector<Module::NamedModule> Module::named_modules(const ModuleNaming& naming) {
  std::vector<NamedModule> found;
  for_each_module(*this, naming, [&](const ModuleWalk& walk) {
    found.push_back({.name = without_dot(walk.prefix()), .module = &walk.module()});
  });
  return found;
}

std::vector<Module::NamedModule> Module::named_children() {
  std::vector<NamedModule> found;
  std::unordered_set<const Module*> seen;
  for (const NamedModule& child : children_) {
    if (child.module != nullptr && seen.insert(child.module).second) found.push_back(child);
  }
  return found;
}

std::vector<Slot*> Module::parameters(bool recurse) {
  return without_names(named_parameters({.prefix = {}, .recurse = recurse}));
}

std::vector<Slot*> Module::buffers(bool recurse) {
  return without_names(named_buffers({.prefix = {}, .recurse = recurse}));
}

}  // namespace weightmap
