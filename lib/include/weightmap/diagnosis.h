// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/rename_rule.h"

namespace weightmap {

// What is known of a key on one side. Owns nothing; what is not known fits everything.
struct KeyFacts {
  std::string_view name;
  std::optional<Dtype> dtype;
  std::optional<std::span<const std::int64_t>> shape;
};

struct DiagnosisOptions {
  bool strict = true;        // unexpected and missing keys do not fit
  bool check_dtypes = true;  // other dtypes do not fit
  // A key of another shape is passed over: it neither fits nor keeps the rest from fitting.
  bool ignore_mismatched_sizes = false;
};

// What `weightmap convert` would have to be told so that the keys fit. The prefix comes first, then
// the rules one after another, as SelectionOptions has them; each touches at least one key, and no
// two keys get one name. A rule is here only if the names speak for it (a common part, words that
// are known to stand for each other, a prefix, numbers that are all moved alike) and for nothing
// else as much, or if no other key of that shape could be meant. Values are not looked at.
struct Remedy {
  std::string strip_prefix;
  std::vector<RenameRule> rename;
  std::optional<Dtype> float_dtype;

  bool empty() const { return strip_prefix.empty() && rename.empty() && !float_dtype; }
  // {"--strip-prefix", "module.", "--rename", "*.gamma=*.weight"}
  std::vector<std::string> arguments() const;
  // The same as a shell takes it.
  std::string command_text() const;
};

// What explains many keys at once.
struct DiagnosisCause {
  enum class Kind : std::uint8_t {
    kExtraPrefix,       // of the found keys; `subject` is the prefix: "module."
    kLackingPrefix,     // likewise
    kExtraComponent,    // somewhere in the found keys: "_fsdp_wrapped_module"
    kLackingComponent,  // likewise
    kRenamed,           // "*.gamma=*.weight"
    kShiftedNumbers,    // of the modules below: "layers."
    kTransposed,        // shapes are the other way round
    kOtherDtype,        // found: "float16"
    kMissingSubtree,    // nothing is there below: "head."
    kExtraSubtree,      // nothing of it is wanted
    kMissingLayers,     // some numbers below: "layers."
    kExtraLayers,
    kMissingLeaf,  // all that is missing ends so: "num_batches_tracked"
    kExtraLeaf,
    kNothingInCommon,
    kAmbiguous,     // several renames would do, and nothing tells which: none is in the remedy
    kOtherNumbers,  // of the modules below: "layers.", each the next by order alone
  };
  Kind kind = Kind::kRenamed;
  std::string subject;
  std::size_t keys = 0;  // how many it explains
  std::string text;      // one line for people, printable

  friend bool operator==(const DiagnosisCause&, const DiagnosisCause&) = default;
};
std::string_view cause_kind_name(DiagnosisCause::Kind kind);  // "extra_prefix"

struct MissingKey {
  std::string key;
  // The unexpected key that would take its place after the remedy, else the one that is most like
  // it by name and shape; empty when none is plausible.
  std::string nearest;
};

// A key of both sides that does not fit.
struct MismatchedKey {
  std::string key;
  bool shape = false;  // neither: something that only a load sees, as a tie or a layout
  bool dtype = false;
  bool is_transposed = false;  // of two dimensions, the other way round
  // Found vs wanted: "shape [3, 2] vs [2, 3], dtype float16 vs float32"; else what the load says.
  std::string text;
};

// How two lists of keys fit, and what would mend it. Owns all that it tells.
struct Diagnosis {
  DiagnosisOptions options;
  std::size_t wanted = 0;  // keys
  std::size_t found = 0;
  std::size_t matched = 0;                // that fit
  std::vector<MissingKey> missing;        // in the order of the wanted keys
  std::vector<std::string> unexpected;    // in the order of the found keys
  std::vector<MismatchedKey> mismatched;  // in the order of the wanted keys
  std::size_t passed_over = 0;            // keys of another shape that is ignored
  std::vector<std::string> failures;      // of a load: what is wrong beside its keys
  bool is_edited = false;                 // by hooks: the keys are those that they left
  std::vector<DiagnosisCause> causes;     // those of the remedy first, in its order
  Remedy remedy;
  std::size_t mended = 0;  // how many wanted keys fit after the remedy, all in all

  bool fits() const;

  // For people, without a newline at the end: counts, causes, the remedy, then at most ten keys of
  // each kind. Names are quoted, and nothing in it acts on a terminal.
  std::string text() const;
};

// Compares what is wanted (a module) with what was found (a checkpoint), by names, shapes and
// dtypes. As in a load, a found [1] fits where [] is wanted. Deterministic. Of two keys of one name
// on one side the first counts.
// Cost: 100,000 keys on each side, all of them with other names, take under two seconds of one
// core. Guessing ends after 0.1 s and 7 us a key, about; what was not explained by then is told
// without a remedy. Names of more than 512 bytes or 32 components take part in exact matching only.
Diagnosis diagnose(std::span<const KeyFacts> wanted,
                   std::span<const KeyFacts> found,
                   const DiagnosisOptions& options = {});

}  // namespace weightmap
