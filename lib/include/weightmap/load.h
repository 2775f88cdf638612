// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "weightmap/load_report.h"
#include "weightmap/module.h"
#include "weightmap/state_dict.h"
#include "weightmap/weight_file.h"

// Bind and load: how tensors come into modules, load_state_dict's two modes.
namespace weightmap {

// Points every slot of the module tree at its tensor in the file, as load_state_dict(assign=True)
// does, without touching a byte of the tensors. All or nothing. The module keeps the file's
// mapping alive. Unlike PyTorch the dtype must be the slot's too (unless that takes any), and slots
// that are one in the module must be one in the file.
// Cost: linear in the keys of both sides; nearly nothing a key when the file's order is the
// module's, one hash look-up otherwise. Where modules have load hooks, steps or extra state, a
// state dict of the file is made first, with its cost. What the file has beside its tensors
// (numbers of a training checkpoint) takes no part, but for extra states that a module takes; to a
// state dict every key counts.
LoadReport bind(Module& module, const WeightFile& file, const LoadOptions& options = {});

// The same from a state dict. Slots keep what owns their bytes.
LoadReport bind(Module& module, const StateDict& state_dict, const LoadOptions& options = {});

// From several files, as if they were one: an adapter after its base. What a later one has stands
// for what an earlier one has. Which file gave what is in the report. Not called bind,
// since an unqualified call with a std::array or std::vector would find std::bind.
LoadReport bind_files(Module& module,
                      std::span<const WeightFile> files,
                      const LoadOptions& options = {});

// Copies every tensor into its slot's memory, as load_state_dict does by default, casting to the
// slot's dtype (base/copy_elements.h has the rules: PyTorch's). A slot that is bound to a file, or
// has no bytes, gets memory of its own; one that has memory or a buffer keeps it, with its strides.
// Checks come first: all or nothing, too.
LoadReport load(Module& module, const WeightFile& file, const LoadOptions& options = {});
LoadReport load(Module& module, const StateDict& state_dict, const LoadOptions& options = {});
LoadReport load_files(Module& module,
                      std::span<const WeightFile> files,
                      const LoadOptions& options = {});

// For code that has no modules: slots under their full names. The caller keeps the file (or the
// report) as long as bound slots are in use.
struct FreeSlot {
  std::string_view name;
  Slot* slot = nullptr;
};
LoadReport bind_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const LoadOptions& options = {});
LoadReport load_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const LoadOptions& options = {});

}  // namespace weightmap
