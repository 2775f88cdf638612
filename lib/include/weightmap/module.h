// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "weightmap/hooks.h"
#include "weightmap/load_report.h"
#include "weightmap/slot.h"
#include "weightmap/state_dict.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// Which names Module::named_parameters and its like give.
struct ModuleNaming {
  std::string prefix;            // before every name, with a dot between
  bool recurse = true;           // descendants' too; without, the module's own
  bool remove_duplicate = true;  // each slot or module once, under its first name
};

struct StateDictOptions {
  std::string prefix;      // before every key: "" or, as PyTorch wants it, with its dot: "model."
  bool keep_vars = false;  // parameters stay parameters; without, every tensor is a plain one
};

// A tree of named slots, PyTorch's nn.Module as far as its state goes. Derive from it, declare
// slots and children as members; they register themselves in the order of their declaration:
//
//   struct Linear : weightmap::Module {
//     Linear(weightmap::Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
//         : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}
//     weightmap::Parameter<float> weight, bias;
//   };
//
// A module stays where it was made: it neither moves nor is copied. It owns no children; they are
// members of the deriving class and die with it. Since a constructor cannot fail, a wrong
// registration (PyTorch's own error texts) is kept and reported by the first bind.
// Building and binding are for one thread; reading a bound module is safe from several.
class Module {
 public:
  Module();                                       // a root
  Module(Module& parent, std::string_view name);  // a child; registers itself with its parent
  virtual ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  Module(Module&&) = delete;
  Module& operator=(Module&&) = delete;

  // A name is not empty, has no dot, and is not used before in this module. The same slot or
  // child may be registered under several names, here or elsewhere: a tie.
  void register_parameter(std::string_view name, Slot& slot);
  void register_buffer(std::string_view name, Slot& slot, bool persistent = true);
  void register_module(std::string_view name, Module& child);

  // Registers none, as a layer without a bias does: the name is taken, but is no key.
  void register_parameter(std::string_view name, std::nullptr_t);
  void register_buffer(std::string_view name, std::nullptr_t, bool persistent = true);
  void register_module(std::string_view name, std::nullptr_t);

  // As PyTorch names it in messages; the class's own name unless overridden.
  virtual std::string class_name() const;

  // What state_dict notes of it, PyTorch's `_version`: for migrations of what older versions wrote.
  virtual std::int64_t version() const { return 1; }

  struct NamedSlot {
    std::string name;
    Slot* slot = nullptr;  // null: registered as none
    bool persistent = true;
  };
  struct NamedModule {
    std::string name;
    Module* module = nullptr;  // null: registered as none
  };
  // This module's own, in order of registration, those that are none among them.
  std::span<const NamedSlot> own_slots() const { return slots_; }  // parameters, then buffers
  std::span<const NamedSlot> own_parameters() const;
  std::span<const NamedSlot> own_buffers() const;
  std::span<const NamedModule> own_children() const { return children_; }

  // The tree's slots and modules under their full names, in PyTorch's order: parents before
  // children. Never one that is none. A module inside itself is not entered again. Buffers need not
  // be persistent. Cost: linear in the names.
  std::vector<NamedSlot> named_parameters(const ModuleNaming& naming = {});
  std::vector<NamedSlot> named_buffers(const ModuleNaming& naming = {});
  std::vector<NamedModule> named_modules(
      const ModuleNaming& naming = {});                // itself first, as `prefix`
  std::vector<NamedModule> named_children();           // each once
  std::vector<Slot*> parameters(bool recurse = true);  // each once
  std::vector<Slot*> buffers(bool recurse = true);     // each once

  std::span<const std::string> registration_errors() const { return registration_errors_; }

  // Everything that the tree holds, in PyTorch's order: a module's parameters, its persistent
  // buffers, its extra state, then its children; a slot comes under each of its names. The bytes
  // are not copied: writing to a slot shows. A slot without bytes is a meta tensor (a lazy one
  // uninitialized). Only what the slots own, and the files that they are bound to, is kept alive.
  StateDict state_dict(const StateDictOptions& options = {});
  // The same into one that has entries already.
  void state_dict(StateDict& destination, const StateDictOptions& options = {});

  // PyTorch's, for the whole tree: values are copied into the slots' memory, or, with
  // `.assign = true`, slots are pointed to where the values are. load.h has what it does and tells.
  LoadReport load_state_dict(const StateDict& state_dict, const LoadOptions& options = {});
  LoadReport load_state_dict(const WeightFile& file, const LoadOptions& options = {});

  // Run in the order of their registration.
  RemovableHandle register_state_dict_pre_hook(StateDictPreHook hook);
  RemovableHandle register_state_dict_post_hook(StateDictPostHook hook);
  RemovableHandle register_load_state_dict_pre_hook(LoadPreHook hook);
  RemovableHandle register_load_state_dict_post_hook(LoadPostHook hook);

  // Either may be null: without `get` there is no key in a state dict, without `set` such a key is
  // unexpected.
  void register_extra_state(GetExtraState get, SetExtraState set);

  // What this module itself writes and reads, children apart.
  void replace_save_to_state_dict(SaveStepFunction step);
  void replace_load_from_state_dict(LoadStepFunction step);
  // What a module whose step is not replaced writes.
  void save_to_state_dict(StateDict& destination, std::string_view prefix, bool keep_vars);

  struct Hooks;  // internal

 private:
  friend class DictLoader;
  friend class FileLoader;
  friend class Loader;
  friend class StateDictWriter;
  friend bool has_load_hooks(const Module& module);
  friend bool takes_extra_state(const Module& module);
  const std::shared_ptr<Hooks>& hooks();
  bool take_name(std::string_view name);
  bool accept_name(std::string_view kind, std::string_view name);
  void add_parameter(std::string_view name, Slot* slot);
  void add_buffer(std::string_view name, Slot* slot, bool persistent);
  void take_home(Slot* slot);

  // What a bind looks at stands together: a model has many modules, anywhere in memory.
  std::vector<NamedSlot> slots_;  // parameters, then buffers
  std::vector<NamedModule> children_;
  std::shared_ptr<Hooks> hooks_;  // null in most modules
  std::vector<std::string> registration_errors_;
  std::shared_ptr<SlotHome> home_;  // of slots that were first registered here; null: of none
  std::size_t parameter_count_ = 0;
  std::unordered_set<std::string> names_;  // of slots and children, once there are many
};

template <Element T>
Parameter<T>::Parameter(Module& owner,
                        std::string_view name,
                        std::initializer_list<std::int64_t> shape,
                        SlotLayout layout)
    : TypedSlot<T>(SlotRole::kParameter, shape, layout) {
  owner.register_parameter(name, *this);
}

template <Element T>
Buffer<T>::Buffer(Module& owner,
                  std::string_view name,
                  std::initializer_list<std::int64_t> shape,
                  Persistent persistent,
                  SlotLayout layout)
    : TypedSlot<T>(
          persistent == Persistent::kYes ? SlotRole::kBuffer : SlotRole::kNonPersistentBuffer,
          shape,
          layout) {
  owner.register_buffer(name, *this, persistent == Persistent::kYes);
}

}  // namespace weightmap
