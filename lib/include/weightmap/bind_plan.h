// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/load.h"

namespace weightmap {

// How a module tree binds to files of one structure (same tensors, shapes, strides, flags and
// composites; FORMAT.md 3), found out once: for programs that bind the same modules to one version
// of a model after another. A value; refers to the modules.
//
// The tree must stay as it was: no slot and no module of it may be registered, die or get a load
// hook, step or extra state while the plan is used; nobody notices if it does. Slots may be bound,
// loaded and written otherwise in between.
// A plan is safe to read from several threads; binding changes the modules, so it is for one thread
// at a time, as every bind of them.
class BindPlan {
 public:
  // Binds as bind() does, and keeps how. Where that fails nothing has changed, and bind() itself
  // tells in full. Cost: that of bind, of a pass over the index, and of sorting the slots.
  // Errors: kMismatch (the report's text); kUnsupported: a module has load hooks, steps or extra
  // state, which a plan cannot ask; kCorrupt: the file's structure digest is wrong (R22).
  static Result<BindPlan> prepare(Module& module,
                                  const WeightFile& file,
                                  const LoadOptions& options = {});

  // What to do with a file of another structure: say that it is one, or bind it by its names.
  enum class OtherStructure : std::uint8_t { kRefuse, kBind };

  // What bind(module, file, options) would do and report, without looking at names: two passes over
  // slots and entries, and, the first time for a file, one over its index (R22). What the structure
  // does not tell is checked for each tensor: that its data file is open, where its address lies,
  // that slots which are one are one in the file; a file with a fault there goes through bind(),
  // which tells. All or nothing.
  LoadReport bind(const WeightFile& file, OtherStructure other = OtherStructure::kRefuse) const;

  const Digest& structure() const { return structure_; }

 private:
  BindPlan(Module& module, LoadOptions options, LoadReport report, const Digest& structure);
  void find_twins();
  void find_strictest_alignment();
  bool fits(const WeightFile& file) const;
  bool is_in_place(const LoadReport::Row& row, const WeightFile& file) const;

  Module* module_;
  LoadOptions options_;
  LoadReport report_;  // of the bind that it was made by, without the file
  Digest structure_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> twins_;  // rows of one slot
  // What every slot's alignment divides; 0 where nothing is known to.
  std::uint64_t strictest_alignment_bytes_ = 1;
};

}  // namespace weightmap
