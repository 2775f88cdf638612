// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/result.h"

namespace weightmap {

struct DiffOptions {
  // How each is read if it is a checkpoint; a weight file has no root.
  CheckpointOptions first;
  CheckpointOptions second;
  // Compare names, dtypes, shapes and elements alone: not strides, flags, ties, versions of modules
  // and the values beside the tensors, which some formats cannot say.
  bool only_tensors = false;
  // Called now and then with bytes done and to do; false stops the work: kCancelled.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

// How the elements of two tensors of one shape differ.
struct ElementChanges {
  std::uint64_t elements = 0;  // of each
  // Those whose bits differ; of two dtypes, those whose numbers differ.
  std::uint64_t changed = 0;
  // The largest absolute difference of two numbers among them, of complex ones of their parts.
  // Nothing where one of the two is always NaN, or the dtype's bits are no numbers.
  std::optional<double> largest;
  std::uint64_t nan_only_in_first = 0;  // of those that changed
  std::uint64_t nan_only_in_second = 0;

  friend bool operator==(const ElementChanges&, const ElementChanges&) = default;
};

// What is said of a tensor beside its elements.
enum class TensorFact : std::uint8_t {
  kKind,      // "tensor", "sparse_coo" ...
  kClass,     // of a wrapper_subclass: "module.Class"
  kDtype,     // "float32"
  kShape,     // "[2, 3]"
  kStrides,   // "[3, 1]", in elements
  kFlags,     // "parameter, requires_grad"; "none"
  kPresence,  // "values"; "meta", "uninitialized": there are none
  kNumbers,   // of a composite: scale, zero point, axis ... (FORMAT.md 3): "0.5, 3"
  kParts,     // of a composite: "values, scales, zero_points"
};
std::string_view tensor_fact_name(TensorFact fact);  // "dtype"

struct FactDifference {
  TensorFact fact = TensorFact::kDtype;
  std::string first;
  std::string second;
};

// A tensor, a composite or a part of one that both have and that is not the same in both.
struct TensorDifference {
  std::string name;
  std::string part;  // the role of the part of the composite `name`; else empty
  std::vector<FactDifference> facts;
  // Of two tensors whose elements are not the same. Nothing also where they cannot be compared,
  // which a fact then tells: kinds, shapes, presence, or dtypes of which one has no numbers.
  std::optional<ElementChanges> elements;
};

struct ModuleDifference {
  std::string path;  // "" is the root
  std::optional<std::int64_t> first;
  std::optional<std::int64_t> second;
};

// A value beside the tensors that is not the same in both.
struct ValueDifference {
  std::string
      path;  // "optimizer.param_groups.0.lr"; "" is the root; very long ones lose their head
  std::string first;   // in a few words: "0.1", "dict of 3"; "nothing" where there is none
  std::string second;  // may be as `first` where the words do not show it
};

// One of the two that were compared.
struct DiffSource {
  std::string path;
  std::string kind;           // "weight file", "zip checkpoint" ...
  std::uint32_t tensors = 0;  // names: a composite counts once
};

struct DiffReport {
  DiffSource first;
  DiffSource second;
  std::uint32_t compared = 0;    // names that both have
  std::uint64_t read_bytes = 0;  // of elements, on each side; digests told about the others
  std::vector<std::string> only_in_first;
  std::vector<std::string> only_in_second;
  std::vector<TensorDifference> tensors;  // in the order of the first; composites come last
  // Names that are the very same elements in one and not in the other; those that both have.
  std::vector<std::vector<std::string>> ties_only_in_first;
  std::vector<std::vector<std::string>> ties_only_in_second;
  std::vector<ModuleDifference> modules;
  std::vector<ValueDifference> values;
  bool more_values = false;  // some of those were not looked for any more

  bool equal() const;
};

// Compares two checkpoints or weight files, of any kinds: tensors by name, element by element;
// which names are the same elements; versions of modules; and the values beside the tensors, where
// order counts (not in a set), and which shared values are one object does not. Not compared: what
// only the files say (alignment, devices, unused bytes of storages), views that overlap in part.
// Elements are read only where the digests of two weight files do not tell that they are equal; who
// doubts a digest asks WeightFile::verify. Memory: some 24 MiB and what names and values take.
// Errors: those of WeightFile::open and of convert_checkpoint about its source; kInvalidArgument
// (a root for a weight file); kUnsupported (tensors that overlap, or whose compressed storages
// would have to be unpacked, so often that it does not end); kCancelled. Messages begin with a
// path.
Result<DiffReport> diff(const std::string& first,
                        const std::string& second,
                        const DiffOptions& options = {});

}  // namespace weightmap
