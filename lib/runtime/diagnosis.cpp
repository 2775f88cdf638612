// SPDX-License-Identifier: Apache-2.0
// First what there is, name by name; then the renames that mend most of it; then what the rest has
// in common.
#include "weightmap/diagnosis.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "runtime/diagnosis_groups.h"
#include "runtime/diagnosis_nearest.h"
#include "runtime/diagnosis_renaming.h"
#include "runtime/diagnosis_search.h"

namespace weightmap {
namespace {

bool has_dtype_mismatch(const KeyFacts& wanted,
                        const KeyFacts& found,
                        const DiagnosisOptions& options) {
  return options.check_dtypes && !dtypes_agree(wanted, found);
}

// Nothing if they fit.
std::optional<MismatchedKey> compare(const KeyFacts& wanted,
                                     const KeyFacts& found,
                                     const DiagnosisOptions& options) {
  MismatchedKey key{.key = std::string(wanted.name),
                    .shape = !shapes_agree(wanted, found),
                    .dtype = has_dtype_mismatch(wanted, found, options),
                    .is_transposed = are_transposed(wanted, found)};
  if (!key.shape && !key.dtype) return std::nullopt;
  if (key.shape) {
    key.text = concat("shape ", list_text(*found.shape), " vs ", list_text(*wanted.shape));
    if (key.is_transposed) key.text += ", transposed";
  }
  if (key.dtype) {
    key.text += concat(key.shape ? ", " : "", "dtype ", dtype_name(*found.dtype), " vs ",
                       dtype_name(*wanted.dtype));
  }
  return key;
}

void match(const Renaming& renaming, Diagnosis& diagnosis) {
  const auto wanted = renaming.wanted().keys();
  for (std::uint32_t i = 0; i < wanted.size(); ++i) {
    if (renaming.taker(i) == Renaming::kNobody) continue;
    auto mismatch = compare(wanted[i], renaming.found()[renaming.taker(i)], diagnosis.options);
    if (!mismatch) {
      ++diagnosis.matched;
    } else if (mismatch->shape && diagnosis.options.ignore_mismatched_sizes) {
      ++diagnosis.passed_over;
    } else {
      diagnosis.mismatched.push_back(std::move(*mismatch));
    }
  }
  for (const KeyFacts& key : renaming.found()) {
    if (!renaming.wanted().find(key.name)) diagnosis.unexpected.emplace_back(key.name);
  }
}

// Wanted keys whose name nobody has.
std::vector<std::uint32_t> missing_keys(const Renaming& renaming) {
  std::vector<std::uint32_t> missing;
  const KeyTable& wanted = renaming.wanted();
  for (std::uint32_t i = 0; i < wanted.keys().size(); ++i) {
    const bool is_first = wanted.find(wanted.keys()[i].name) == i;
    if (is_first && renaming.taker(i) == Renaming::kNobody) missing.push_back(i);
  }
  return missing;
}

// A prefix that is taken away before all else has an option of its own.
void set_renames(std::vector<RenameRule> rules, Remedy& remedy) {
  if (rules.empty()) return;
  const std::string& pattern = rules.front().pattern;
  const bool is_prefix = rules.front().replacement == "*" && pattern.ends_with(".*") &&
                         pattern.find_first_of("*?") == pattern.size() - 1;
  if (is_prefix) {
    remedy.strip_prefix = pattern.substr(0, pattern.size() - 1);
    rules.erase(rules.begin());
  }
  remedy.rename = std::move(rules);
}

void append(std::vector<DiagnosisCause> more, std::vector<DiagnosisCause>& causes) {
  std::ranges::move(more, std::back_inserter(causes));
}

void group_what_is_left(const Renaming& renaming, Diagnosis& diagnosis) {
  std::vector<DiagnosisCause>& causes = diagnosis.causes;
  append(group_transposed(renaming), causes);
  if (diagnosis.options.check_dtypes) append(group_dtypes(renaming, diagnosis.remedy), causes);
  if (missing_keys(renaming).size() == diagnosis.wanted) {
    if (diagnosis.wanted == 0 || !causes.empty()) return;
    causes.push_back({.kind = DiagnosisCause::Kind::kNothingInCommon,
                      .keys = diagnosis.wanted,
                      .text = diagnosis.found == 0 ? "there are no keys at all"
                                                   : "no wanted key is there, nor one like it"});
    return;
  }
  std::vector<std::string_view> names;
  for (const KeyFacts& key : renaming.wanted().keys())
    names.push_back(key.name);
  append(group_rest(names, renaming.missing(), RestSide::kMissing), causes);
  names.assign(renaming.names().begin(), renaming.names().end());
  append(group_rest(names, renaming.unexpected(), RestSide::kUnexpected), causes);
}

// For what was missing at first: who takes the place, or is like it.
void set_nearest(const Renaming& renaming,
                 std::span<const std::uint32_t> missing,
                 Diagnosis& diagnosis) {
  const std::vector<std::uint32_t> nearest = nearest_unexpected(renaming);
  const std::vector<std::uint32_t>& rest = renaming.missing();
  std::size_t next = 0;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    std::uint32_t other = renaming.taker(missing[i]);
    if (next < rest.size() && rest[next] == missing[i]) other = nearest[next++];
    if (other != Renaming::kNobody) diagnosis.missing[i].nearest = renaming.found()[other].name;
  }
}

std::size_t count_mended(const Renaming& renaming, const Diagnosis& diagnosis) {
  const auto wanted = renaming.wanted().keys();
  const auto cast = diagnosis.remedy.float_dtype;
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < wanted.size(); ++i) {
    if (renaming.taker(i) == Renaming::kNobody) continue;
    KeyFacts found = renaming.found()[renaming.taker(i)];
    if (cast && found.dtype && is_castable(*found.dtype)) found.dtype = cast;
    if (!compare(wanted[i], found, diagnosis.options)) ++count;
  }
  return count;
}

}  // namespace

bool Diagnosis::fits() const {
  if (!mismatched.empty() || !failures.empty()) return false;
  if (options.strict) return missing.empty() && unexpected.empty();
  return matched > 0 || wanted == 0;
}

Diagnosis diagnose(std::span<const KeyFacts> wanted,
                   std::span<const KeyFacts> found,
                   const DiagnosisOptions& options) {
  const KeyTable table(wanted);
  Renaming renaming(table, found);
  Diagnosis diagnosis{.options = options, .wanted = wanted.size(), .found = found.size()};
  match(renaming, diagnosis);
  const std::vector<std::uint32_t> missing = missing_keys(renaming);
  for (const std::uint32_t number : missing)
    diagnosis.missing.push_back({.key = std::string(wanted[number].name)});
  diagnosis.mended = diagnosis.matched;
  const bool is_same = diagnosis.missing.empty() && diagnosis.unexpected.empty();
  if (is_same && diagnosis.mismatched.empty()) return diagnosis;
  FoundRenames renames = search_renames(renaming);
  diagnosis.causes = std::move(renames.causes);
  append(std::move(renames.doubts), diagnosis.causes);
  set_renames(std::move(renames.rules), diagnosis.remedy);
  group_what_is_left(renaming, diagnosis);
  set_nearest(renaming, missing, diagnosis);
  diagnosis.mended = count_mended(renaming, diagnosis);
  return diagnosis;
}

}  // namespace weightmap
