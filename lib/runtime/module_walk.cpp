// SPDX-License-Identifier: Apache-2.0
#include "runtime/module_walk.h"

#include <algorithm>
#include <utility>

#include "base/prefetch.h"
#include "base/text.h"

namespace weightmap {
namespace {

// So much of the path is searched one by one: most trees are no deeper, and need no set.
constexpr std::size_t kShallow = 32;
// Enough for most, so that the number of allocations is not that of the modules.
constexpr std::size_t kUsualPrefixBytes = 128;

// Modules lie anywhere. The memory of those that come is asked for while others are looked at: of
// modules first, then, when these are there, of the lists that they have.
constexpr std::size_t kModulesAhead = 8;
constexpr std::size_t kListsAhead = 2;

void prefetch_module(std::span<const Module::NamedModule> siblings, std::size_t number) {
  if (number >= siblings.size() || siblings[number].module == nullptr) return;
  prefetch_object(*siblings[number].module);
}

void prefetch_lists(std::span<const Module::NamedModule> siblings, std::size_t number) {
  if (number >= siblings.size() || siblings[number].module == nullptr) return;
  __builtin_prefetch(siblings[number].module->own_slots().data());
  __builtin_prefetch(siblings[number].module->own_children().data());
}

// With a count of its own g++ unrolls it, which is a tenth faster over a large tree than a loop
// over the children that there are: no step waits for the list.
void prefetch_children(const Module& module) {
  for (std::size_t child = 0; child < kModulesAhead; ++child)
    prefetch_module(module.own_children(), child);
}

void prefetch_family(std::span<const Module::NamedModule> siblings, std::size_t number) {
  if (number < siblings.size() && siblings[number].module != nullptr)
    prefetch_children(*siblings[number].module);
}

}  // namespace

ModuleWalk::ModuleWalk(Module& root, std::string prefix) : prefix_(std::move(prefix)) {
  prefix_.reserve(kUsualPrefixBytes);
  path_.reserve(kShallow);
  push(root);
}

void ModuleWalk::advance() {
  while (!path_.empty() && !step()) {
  }
}

bool ModuleWalk::step() {
  Visit& visit = path_.back();
  const auto children = visit.module->own_children();
  while (visit.next_child < children.size()) {
    const Module::NamedModule& child = children[visit.next_child++];
    prefetch_module(children, visit.next_child - 1 + kModulesAhead);
    prefetch_lists(children, visit.next_child - 1 + kListsAhead);
    prefetch_family(children, visit.next_child);
    if (enter_child(child)) return true;
  }
  pop();
  if (!path_.empty()) prefix_.resize(path_.back().prefix_size);
  return false;
}

void ModuleWalk::skip_children() {
  path_.back().next_child = module().own_children().size();
}

bool ModuleWalk::enter_child(const Module::NamedModule& child) {
  if (child.module == nullptr) return false;
  if (is_on_path(child.module)) {
    loops_.push_back(prefix_ + child.name);
    return false;
  }
  prefix_ += child.name;
  prefix_ += '.';
  push(*child.module);
  return true;
}

bool ModuleWalk::is_on_path(const Module* module) const {
  const auto shallow = std::span(path_).first(std::min(path_.size(), kShallow));
  for (const Visit& visit : shallow)
    if (visit.module == module) return true;
  return !deep_.empty() && deep_.contains(module);
}

void ModuleWalk::push(Module& module) {
  if (path_.size() >= kShallow) deep_.insert(&module);
  path_.push_back({.module = &module, .prefix_size = prefix_.size()});
  prefetch_children(module);
}

void ModuleWalk::pop() {
  if (path_.size() > kShallow) deep_.erase(path_.back().module);
  path_.pop_back();
}

void note_registration_errors(const ModuleWalk& walk, std::vector<std::string>& errors) {
  const std::string_view prefix = walk.prefix();
  for (const std::string& error : walk.module().registration_errors()) {
    errors.push_back(concat("module ", quoted(prefix.substr(0, prefix.rfind('.'))), " (",
                            walk.module().class_name(), "): ", error));
  }
}

void note_loops(const ModuleWalk& walk, std::vector<std::string>& errors) {
  for (const std::string& loop : walk.loops())
    errors.push_back(concat("module ", quoted(loop), " is registered inside itself"));
}

}  // namespace weightmap
