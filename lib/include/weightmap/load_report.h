// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/diagnosis.h"
#include "weightmap/slot.h"
#include "weightmap/state_dict.h"
#include "weightmap/weight_file.h"

// What a load is asked for, and what it tells.
namespace weightmap {

class LoadFacts;

struct LoadOptions {
  // Missing and unexpected keys are errors; without, they are only reported.
  bool strict = true;
  // Of load_state_dict: bind instead of load.
  bool assign = false;
  // Only keys that begin with it take part, and lose it: "model." binds the file's
  // `model.fc.weight` to the slot `fc.weight`. Other keys are not looked at.
  std::string prefix;
  // A tensor of another shape than its slot's is skipped and reported; without, it is an error,
  // whatever `strict` says.
  bool ignore_mismatched_sizes = false;
  // Without, a load that is not strict and matches no key at all is an error.
  bool allow_nothing = false;
};

// A key that is on both sides and does not fit.
struct Mismatch {
  enum class Reason : std::uint8_t {
    kShape,
    kDtype,
    kLayout,     // the slot wants contiguous elements
    kValues,     // of a bind: stored conjugated or negated; a meta tensor, a lazy parameter, absent
    kAlignment,  // the address is not one that the slot's element type can have
    kComposite,  // the key stands for several tensors: quantized, sparse ...
    kTie,        // the module holds one slot under several names, the file different bytes
  };
  std::string key;  // as the module names it
  Reason reason = Reason::kShape;
  std::string text;  // one line, PyTorch's own where PyTorch has one
};

// Slots and bytes that are one on one side only.
struct TieDifference {
  enum class Kind : std::uint8_t {
    kOnlyInModule,  // one slot, which was loaded twice: the later key's values are in it
    kOnlyInFile,    // two slots, which have the same values
  };
  Kind kind = Kind::kOnlyInModule;
  std::string key;    // the later one
  std::string other;  // the first of those that it is, or is not, one with
};

// What a bind or load found, complete in success and in failure. Owns what it tells, and keeps
// open what the tensors came from. A value.
class LoadReport {
 public:
  // Whether the slots now have their tensors. If not, no slot has changed.
  bool ok() const { return errors_.empty(); }

  // The keys that slots took (or would have, had there been no error), in the module's order.
  std::size_t matched_count() const { return rows().size(); }
  std::string_view matched(std::size_t number) const;  // REQUIRES: < matched_count()
  // The path of the weight file that it came from, "" for memory. REQUIRES: < matched_count()
  std::string_view origin(std::size_t number) const;

  // As load_state_dict returns them: missing ones in the module's order; unexpected ones module by
  // module, parents first, then in the file's order. Keys of a child that is registered as none
  // are, as in PyTorch, not reported.
  std::span<const std::string> missing() const { return missing_; }
  std::span<const std::string> unexpected() const { return unexpected_; }
  // Errors, but for sizes that were to be ignored.
  std::span<const Mismatch> mismatched() const { return mismatched_; }

  // Cost: sorts what was matched.
  std::vector<TieDifference> tie_differences() const;

  // One line when all is well, "bound 20 tensors, 0 missing, 0 unexpected"; else PyTorch's message:
  // "Error(s) in loading state_dict for Digits:" and a line for each error.
  std::string text() const;

  // The same as an error, for code that passes errors on. REQUIRES: !ok().
  Error error() const;

  // Why keys do not fit, and what would mend it (diagnosis.h): the whole of both sides is compared
  // when this is asked, and all that the load refused is in it: it never fits. The remedy is for
  // the file as it is, with the prefix in its names. What hooks have edited is told as they left
  // it, and without a remedy: what they do to a converted file is not known. REQUIRES: !ok().
  Diagnosis diagnosis() const;

 private:
  friend class BindPlan;
  friend class Loader;
  friend class FileLoader;
  friend class DictLoader;

  // A slot and what it takes: the number of a tensor of the file, or of those from a state dict.
  struct Row {
    Slot* slot = nullptr;  // to tell one from another: it may be gone
    std::uint32_t source = 0;
  };
  struct KeptTensor {
    std::string key;
    StateTensor tensor;
  };
  const std::byte* data(const Row& row) const;
  std::span<const Row> rows() const { return shared_rows_ ? *shared_rows_ : rows_; }
  void share_rows();  // so that copies have the same ones

  std::string class_name_;
  bool is_bind_ = false;
  std::size_t prefix_size_ = 0;
  std::vector<Row> rows_;
  std::shared_ptr<const std::vector<Row>> shared_rows_;  // null: rows_ are the report's own
  std::optional<WeightFile> file_;                       // where rows are its tensors
  std::vector<KeptTensor> tensors_;
  std::vector<std::string> missing_;
  std::vector<std::string> unexpected_;
  std::vector<Mismatch> mismatched_;
  std::vector<std::string> errors_;
  DiagnosisOptions diagnosis_options_;
  std::shared_ptr<const LoadFacts> facts_;  // of a load that failed
};

}  // namespace weightmap
