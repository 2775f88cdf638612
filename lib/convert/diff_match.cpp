// SPDX-License-Identifier: Apache-2.0
#include "convert/diff_match.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/text.h"

namespace weightmap::convert {
namespace {

std::vector<DiffKey> keys_of(const DiffSide& side) {
  std::vector<DiffKey> keys;
  for (const SideTensor& tensor : side.tensors()) {
    if (!tensor.view.is_part()) keys.push_back({.tensor = &tensor});
  }
  for (const CompositeView& composite : side.composites())
    keys.push_back({.composite = &composite});
  return keys;
}

void match_parts(const DiffMatch& whole,
                 const DiffSide& first,
                 const DiffSide& second,
                 std::vector<DiffMatch>& matches) {
  for (const CompositePart& part : whole.first.composite->parts()) {
    const auto others = whole.second.composite->parts();
    const auto other = std::ranges::find(others, part.role, &CompositePart::role);
    if (other == others.end()) continue;
    matches.push_back({.name = whole.name,
                       .part = part.role,
                       .first = {.tensor = &first.tensors()[part.number]},
                       .second = {.tensor = &second.tensors()[other->number]}});
  }
}

}  // namespace

std::vector<DiffMatch> match_names(const DiffSide& first,
                                   const DiffSide& second,
                                   DiffReport& report) {
  const std::vector<DiffKey> first_keys = keys_of(first);
  const std::vector<DiffKey> second_keys = keys_of(second);
  report.first.tensors = static_cast<std::uint32_t>(first_keys.size());
  report.second.tensors = static_cast<std::uint32_t>(second_keys.size());
  std::unordered_map<std::string_view, const DiffKey*> unmatched;
  for (const DiffKey& key : second_keys)
    unmatched.emplace(key.name(), &key);
  std::vector<DiffMatch> matches;
  for (const DiffKey& key : first_keys) {
    const auto other = unmatched.find(key.name());
    if (other == unmatched.end()) {
      report.only_in_first.emplace_back(key.name());
      continue;
    }
    const DiffMatch match{.name = key.name(), .first = key, .second = *other->second};
    unmatched.erase(other);
    ++report.compared;
    matches.push_back(match);
    if (match.are_composites()) match_parts(match, first, second, matches);
  }
  for (const DiffKey& key : second_keys) {
    if (unmatched.contains(key.name())) report.only_in_second.emplace_back(key.name());
  }
  return matches;
}

std::vector<std::uint32_t> places_of(std::span<const DiffMatch> matches, DiffKey DiffMatch::*side) {
  using Place = std::tuple<std::uint32_t, std::uint64_t, Dtype, bool, bool,
                           std::vector<std::int64_t>, std::vector<std::int64_t>>;
  std::map<Place, std::uint32_t> known;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < matches.size(); ++i) {
    const SideTensor* const tensor = (matches[i].*side).tensor;
    if (tensor == nullptr || !tensor->segment || tensor->extent_bytes == 0) {
      numbers.push_back(i);
      continue;
    }
    const TensorView& view = tensor->view;
    Place place{*tensor->segment,
                tensor->offset_bytes,
                view.dtype(),
                view.is_conj(),
                view.is_neg(),
                {view.shape().begin(), view.shape().end()},
                {view.strides().begin(), view.strides().end()}};
    numbers.push_back(known.try_emplace(std::move(place), i).first->second);
  }
  return numbers;
}

std::vector<std::vector<std::string>> ties_only_in(std::span<const DiffMatch> matches,
                                                   std::span<const std::uint32_t> here,
                                                   std::span<const std::uint32_t> there) {
  std::map<std::uint32_t, std::vector<std::uint32_t>> groups;
  for (std::uint32_t i = 0; i < matches.size(); ++i)
    groups[here[i]].push_back(i);
  std::vector<std::vector<std::string>> ties;
  for (const auto& entry : groups) {
    const std::vector<std::uint32_t>& group = entry.second;
    const auto is_elsewhere = [&](std::uint32_t i) { return there[i] != there[group[0]]; };
    if (std::ranges::none_of(group, is_elsewhere)) continue;
    ties.emplace_back();
    for (const std::uint32_t i : group)
      ties.back().push_back(matches[i].full_name());
  }
  return ties;
}

}  // namespace weightmap::convert
