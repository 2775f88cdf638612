// SPDX-License-Identifier: Apache-2.0
// Which loader does what: a file by its index, where no module asks for more than its slots.
#include "weightmap/load.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "weightmap/module.h"

#include "base/text.h"
#include "runtime/dict_loader.h"
#include "runtime/file_loader.h"
#include "runtime/module_hooks.h"
#include "runtime/module_walk.h"
#include "runtime/state_keys.h"

namespace weightmap {
namespace {

// The part of a state dict below a prefix, under names without it.
StateDict without_prefix(const StateDict& whole, std::string_view prefix) {
  StateDict part;
  for (const StateDict::Entry& entry : whole) {
    const std::string_view name = entry.name;
    if (name.starts_with(prefix)) part.set(name.substr(prefix.size()), entry.value);
  }
  for (const auto& [path, metadata] : whole.metadata()) {
    const std::string with_dot = path + '.';
    if (!with_dot.starts_with(prefix)) continue;
    const std::string_view name = path;
    part.metadata().set(name.substr(std::min(prefix.size(), name.size())), metadata);
  }
  return part;
}

LoadReport load_dict(Module& module,
                     const StateDict& state_dict,
                     const LoadOptions& options,
                     LoadMode mode) {
  if (options.prefix.empty()) return DictLoader(module, state_dict, options, mode).run();
  const StateDict part = without_prefix(state_dict, options.prefix);
  return DictLoader(module, part, options, mode).run();
}

// Keys of extra states that a module of the tree takes.
std::unordered_set<std::string> wanted_extra_states(Module& root) {
  std::unordered_set<std::string> keys;
  for (ModuleWalk walk(root, ""); !walk.is_done(); walk.advance())
    if (takes_extra_state(walk.module())) keys.insert(concat(walk.prefix(), kExtraState));
  return keys;
}

// What a file has beside its tensors (a training checkpoint's epoch, its optimizer's numbers) is
// not looked at, whether its tensors are found by the index or one by one: but for extra states
// that somebody takes.
void leave_out_values(StateDict& state_dict, Module& root) {
  std::vector<std::string> unwanted;
  const std::unordered_set<std::string> wanted = wanted_extra_states(root);
  for (const auto& [key, item] : state_dict)
    if (item.value() != nullptr && !wanted.contains(key)) unwanted.push_back(key);
  for (const std::string& key : unwanted)
    state_dict.erase(key);
}

LoadReport load_merged(Module& module,
                       std::span<const WeightFile> files,
                       const LoadOptions& options,
                       LoadMode mode) {
  StateDict merged;
  for (const WeightFile& file : files) {
    const Result<StateDict> part = file.state_dict(options.prefix);
    if (!part) return Loader::failed(module.class_name(), part.error());
    merged.update(*part);
    merged.metadata().update(part->metadata());
  }
  leave_out_values(merged, module);
  return DictLoader(module, merged, options, mode).run();
}

LoadReport load_file(Module& module,
                     const WeightFile& file,
                     const LoadOptions& options,
                     LoadMode mode) {
  auto report = FileLoader(module, file, options, mode).run();
  return report ? *std::move(report) : load_merged(module, {&file, 1}, options, mode);
}

// A list has no modules, and so no hooks.
LoadReport load_list(std::span<const FreeSlot> slots,
                     const WeightFile& file,
                     const LoadOptions& options,
                     LoadMode mode) {
  return *FileLoader(slots, file, options, mode).run();
}

LoadMode mode_of(const LoadOptions& options) {
  return options.assign ? LoadMode::kBind : LoadMode::kLoad;
}

}  // namespace

LoadReport bind(Module& module, const WeightFile& file, const LoadOptions& options) {
  return load_file(module, file, options, LoadMode::kBind);
}

LoadReport bind(Module& module, const StateDict& state_dict, const LoadOptions& options) {
  return load_dict(module, state_dict, options, LoadMode::kBind);
}

LoadReport bind_files(Module& module,
                      std::span<const WeightFile> files,
                      const LoadOptions& options) {
  return load_merged(module, files, options, LoadMode::kBind);
}

LoadReport load(Module& module, const WeightFile& file, const LoadOptions& options) {
  return load_file(module, file, options, LoadMode::kLoad);
}

LoadReport load(Module& module, const StateDict& state_dict, const LoadOptions& options) {
  return load_dict(module, state_dict, options, LoadMode::kLoad);
}

LoadReport load_files(Module& module,
                      std::span<const WeightFile> files,
                      const LoadOptions& options) {
  return load_merged(module, files, options, LoadMode::kLoad);
}

LoadReport bind_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const LoadOptions& options) {
  return load_list(slots, file, options, LoadMode::kBind);
}

LoadReport load_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const LoadOptions& options) {
  return load_list(slots, file, options, LoadMode::kLoad);
}

LoadReport Module::load_state_dict(const StateDict& state_dict, const LoadOptions& options) {
  return load_dict(*this, state_dict, options, mode_of(options));
}

LoadReport Module::load_state_dict(const WeightFile& file, const LoadOptions& options) {
  return load_file(*this, file, options, mode_of(options));
}

}  // namespace weightmap
