// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "weightmap/load_report.h"
#include "weightmap/module.h"
#include "weightmap/state_dict.h"

#include "runtime/key_homes.h"
#include "runtime/loader.h"
#include "runtime/module_walk.h"

namespace weightmap {

// One load from a state dict, module by module as PyTorch goes, with hooks, replaced steps and
// extra states.
class DictLoader final : public Loader {
 public:
  // REQUIRES: options.prefix is gone from the keys already.
  DictLoader(Module& root, const StateDict& state_dict, const LoadOptions& options, LoadMode mode);
  LoadReport run() &&;

 private:
  // The state dict as a module sees it that may edit it, and its children down to the next such.
  struct Scope {
    std::unique_ptr<StateDict> own;  // null: the caller's, which nobody edits
    const StateDict* entries = nullptr;
    std::size_t depth = 0;  // of the module that it begins at

    // Made when first asked for, and again after an edit.
    std::vector<const StateDict::Entry*> in_order;
    std::vector<std::uint32_t> by_name;  // of in_order
    std::unordered_map<std::uint32_t, std::vector<const StateDict::Entry*>> by_home;
    bool is_sorted = false;
    bool has_homes = false;
  };
  using Taken = std::unordered_set<const StateItem*>;

  TensorView tensor(std::uint32_t source) const override;
  std::string_view key(std::uint32_t source) const override;
  void point_slots() override;
  LoadFacts facts() const override;

  void enter_module();
  void leave_module(Module& module);
  void load_module(Module& module);
  LoadStep make_step();
  void take_slots(const Module& module, Taken& taken);
  void take_item(Slot& slot, const StateItem& item, const std::string& key);
  void take_extra_state(const Module& module, Taken& taken);
  void collect_unexpected(const Module& module, const Taken& taken);
  void collect_unexpected_of_own_scope(const Module& module, const Taken& taken);
  void judge_again();

  Scope& scope() { return *scopes_.back(); }
  void open_scope();
  void sort_names(Scope& scope) const;
  void find_homes(Scope& scope) const;

  Module& root_;
  ModuleWalk walk_;
  KeyHomes homes_;
  const StateDict& given_;
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::uint32_t module_number_ = 0;  // of the present one among all, parents first
  std::size_t slot_count_ = 0;
  bool met_hooks_ = false;
  std::vector<std::string> registration_errors_;
  ModuleMetadata no_metadata_;
};

}  // namespace weightmap
