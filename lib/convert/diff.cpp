// SPDX-License-Identifier: Apache-2.0
// Names first, then what is said of each tensor, then elements: only those of which neither a
// digest nor an earlier comparison of the same two places tells.
#include "weightmap/diff.h"

#include <array>
#include <memory>
#include <utility>

#include "convert/diff_facts.h"
#include "convert/diff_match.h"
#include "convert/diff_side.h"
#include "convert/element_pass.h"
#include "convert/value_comparison.h"

namespace weightmap {
namespace {

using convert::DiffSide;

Result<void> compare_tensors(DiffSide& first,
                             DiffSide& second,
                             const DiffOptions& options,
                             DiffReport& report) {
  const std::vector<convert::DiffMatch> matches = convert::match_names(first, second, report);
  const auto first_places = convert::places_of(matches, &convert::DiffMatch::first);
  const auto second_places = convert::places_of(matches, &convert::DiffMatch::second);
  if (!options.only_tensors) {
    report.ties_only_in_first = convert::ties_only_in(matches, first_places, second_places);
    report.ties_only_in_second = convert::ties_only_in(matches, second_places, first_places);
  }
  convert::ElementPass pass(first, second, options);
  Result<void> planned = pass.plan(matches, first_places, second_places);
  if (!planned) return planned;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    auto elements = pass.compare(matches, i);
    if (!elements) return elements.error();
    TensorDifference difference{.name = std::string(matches[i].name),
                                .part = std::string(matches[i].part),
                                .facts = convert::compare_facts(matches[i], options.only_tensors),
                                .elements = *elements};
    const bool differs = !difference.facts.empty() || difference.elements;
    if (differs) report.tensors.push_back(std::move(difference));
  }
  report.read_bytes = pass.done_bytes();
  return {};
}

Result<void> compare_values(DiffSide& first, DiffSide& second, DiffReport& report) {
  const Result<ValueGraph> first_values = first.values();
  if (!first_values) return first_values.error();
  const Result<ValueGraph> second_values = second.values();
  if (!second_values) return second_values.error();
  convert::ValueComparison values = convert::compare_values(*first_values, *second_values);
  report.values = std::move(values.differences);
  report.more_values = values.more;
  return {};
}

bool are_wholly_equal(const DiffSide& first, const DiffSide& second) {
  return first.whole_digest() && first.whole_digest() == second.whole_digest();
}

}  // namespace

std::string_view tensor_fact_name(TensorFact fact) {
  constexpr std::array<std::string_view, 9> kNames{
      "kind", "class", "dtype", "shape", "strides", "flags", "presence", "numbers", "parts"};
  return kNames[static_cast<std::size_t>(fact)];
}

bool DiffReport::equal() const {
  return only_in_first.empty() && only_in_second.empty() && tensors.empty() &&
         ties_only_in_first.empty() && ties_only_in_second.empty() && modules.empty() &&
         values.empty() && !more_values;
}

Result<DiffReport> diff(const std::string& first_path,
                        const std::string& second_path,
                        const DiffOptions& options) {
  const auto first = DiffSide::open(first_path, options.first);
  if (!first) return first.error();
  const auto second = DiffSide::open(second_path, options.second);
  if (!second) return second.error();
  DiffReport report{.first = {.path = first_path, .kind = (*first)->kind()},
                    .second = {.path = second_path, .kind = (*second)->kind()}};
  const Result<void> tensors = compare_tensors(**first, **second, options, report);
  if (!tensors) return tensors.error();
  if (options.only_tensors || are_wholly_equal(**first, **second)) return report;
  report.modules = convert::compare_modules(**first, **second);
  const Result<void> values = compare_values(**first, **second, report);
  if (!values) return values.error();
  return report;
}

}  // namespace weightmap
