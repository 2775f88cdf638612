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
};

// What `weightmap convert` would have to be told so that the keys fit. The prefix comes first, then
// the rules one after another, as SelectionOptions has them; each touches at least one key, and no
// two keys get one name.
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

// A key of both sides whose shape or dtype is another.
struct MismatchedKey {
  std::string key;
  bool shape = false;
  bool dtype = false;
  bool is_transposed = false;  // of two dimensions, the other way round
  std::string text;  // found vs wanted: "shape [3, 2] vs [2, 3], dtype float16 vs float32"
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
  std::vector<DiagnosisCause> causes;     // those of the remedy first, in its order
  Remedy remedy;
  std::size_t mended = 0;  // how many wanted keys fit after the remedy, all in all

  bool fits() const;

  // For people, without a newline at the end: counts, causes, the remedy, then at most ten keys of
  // each kind. Names are quoted.
  std::string text() const;
};

// Compares what is wanted (a module) with what was found (a checkpoint), by names, shapes and
// dtypes. Deterministic. Cost: n log n in the bytes of the names; two sides of 100,000 keys of
// which none has the other's name take a fraction of a second. Of two keys of one name on one side
// the first counts.
Diagnosis diagnose(std::span<const KeyFacts> wanted,
                   std::span<const KeyFacts> found,
                   const DiagnosisOptions& options = {});

}  // namespace weightmap
