// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/module.h"
#include "weightmap/weight_file.h"

namespace weightmap {

struct BindOptions {
  // Missing and unexpected keys are errors; without, they are only reported.
  bool strict = true;
  // Only keys that begin with it take part, and lose it: "model." binds the file's
  // `model.fc.weight` to the slot `fc.weight`. Other keys are not looked at.
  std::string prefix;
};

// A key that is on both sides and does not fit.
struct Mismatch {
  enum class Reason : std::uint8_t {
    kShape,
    kDtype,
    kLayout,     // the slot wants contiguous elements
    kValues,     // stored conjugated or negated, a meta tensor, a lazy parameter, absent
    kAlignment,  // the address is not one that the slot's element type can have
    kComposite,  // the key stands for several tensors: quantized, sparse ...
    kTie,        // the module holds one slot under several names, the file different bytes
  };
  std::string key;  // as the module names it
  Reason reason = Reason::kShape;
  std::string text;  // one line, PyTorch's own where PyTorch has one
};

// What a bind found, complete in success and in failure. Owns what it tells, but for the file,
// which it keeps open.
class BindReport {
 public:
  // Whether the slots now point into the file. If not, no slot has changed.
  bool ok() const { return errors_.empty(); }

  // The keys that were bound (or would have been, had there been no error), by their numbers in
  // file(), in the module's order.
  std::span<const std::uint32_t> matched() const { return matched_; }
  const WeightFile& file() const { return file_; }

  // As load_state_dict returns them: missing ones in the module's order; unexpected ones module by
  // module, parents first, then in the file's order. Keys of a child that is registered as none
  // are, as in PyTorch, not reported.
  std::span<const std::string> missing() const { return missing_; }
  std::span<const std::string> unexpected() const { return unexpected_; }
  std::span<const Mismatch> mismatched() const { return mismatched_; }

  // One line when all is well, "bound 20 tensors, 0 missing, 0 unexpected"; else PyTorch's message:
  // "Error(s) in loading state_dict for Digits:" and a line for each error.
  std::string text() const;

  // The same as an error, for code that passes errors on. REQUIRES: !ok().
  Error error() const;

 private:
  friend class Binder;
  explicit BindReport(WeightFile file) : file_(std::move(file)) {}

  WeightFile file_;
  std::string class_name_;
  std::vector<std::uint32_t> matched_;
  std::vector<std::string> missing_;
  std::vector<std::string> unexpected_;
  std::vector<Mismatch> mismatched_;
  std::vector<std::string> errors_;
};

// Points every slot of the module tree at its tensor in the file, as load_state_dict(assign=True)
// does, without touching a byte of the tensors. All or nothing. The module keeps the file's
// mapping alive. Unlike PyTorch the dtype must be the slot's too, and slots that are one in the
// module must be one in the file.
// Cost: linear in the keys of both sides; nearly nothing a key when the file's order is the
// module's, one hash look-up otherwise.
BindReport bind(Module& module, const WeightFile& file, const BindOptions& options = {});

// The same for code that has no modules: slots under their full names. The caller keeps the file
// open (or report.file()) as long as the slots are in use. Not called bind, since an unqualified
// call with a std::array would find std::bind.
struct FreeSlot {
  std::string_view name;
  Slot* slot = nullptr;
};
BindReport bind_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const BindOptions& options = {});

}  // namespace weightmap
