// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "weightmap/digest.h"
#include "weightmap/load.h"

namespace weightmap {

// How a module tree binds to files of one structure (same tensors, shapes, strides, flags and
// composites; FORMAT.md 3), found out once: for programs that bind the same modules to one version
// of a model after another. A value, whose copies share what it holds; refers to the modules.
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

  // The structure digest of the files that it is for.
  const Digest& structure() const;

 private:
  struct Content;
  explicit BindPlan(std::shared_ptr<const Content> content) : content_(std::move(content)) {}

  std::shared_ptr<const Content> content_;
};

}  // namespace weightmap
