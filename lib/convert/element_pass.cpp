// SPDX-License-Identifier: Apache-2.0
#include "convert/element_pass.h"

#include <algorithm>

#include "base/checked.h"
#include "base/text.h"
#include "convert/diff_facts.h"
#include "convert/element_comparison.h"
#include "convert/tensor_pair.h"

namespace weightmap::convert {
namespace {

// How often each byte may be read: tensors may overlap in ever new ways.
constexpr std::uint64_t kTimesRead = 64;
constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 30U;

bool have_one_layout(const TensorView& first, const TensorView& second) {
  return first.dtype() == second.dtype() && std::ranges::equal(first.strides(), second.strides()) &&
         have_one_sign(first, second);
}

TensorPair pair_of(DiffSide& first, DiffSide& second, const DiffMatch& match) {
  return {first, *match.first.tensor, second, *match.second.tensor};
}

std::span<const std::byte> resolved(const TensorView& tensor,
                                    std::span<const std::byte> elements,
                                    std::vector<std::byte>& into) {
  into.assign(elements.begin(), elements.end());
  resolve_signs(tensor.dtype(), tensor.is_conj(), tensor.is_neg(), into);
  return into;
}

}  // namespace

Result<void> ElementPass::plan(std::span<const DiffMatch> matches,
                               std::span<const std::uint32_t> first_places,
                               std::span<const std::uint32_t> second_places) {
  // Halved, so that the sum fits.
  const std::uint64_t data_bytes = (first_.data_bytes() >> 1U) + (second_.data_bytes() >> 1U);
  const auto most = checked_mul(data_bytes, 2 * kTimesRead).value_or(UINT64_MAX - kFreeBytes);
  for (std::size_t i = 0; i < matches.size(); ++i) {
    places_.emplace_back(first_places[i], second_places[i]);
    if (!is_to_read(matches[i]) || !done_.try_emplace(places_[i]).second) continue;
    const auto size_bytes = pair_of(first_, second_, matches[i]).size_bytes();
    const auto sum = size_bytes ? checked_add(total_bytes_, *size_bytes) : std::nullopt;
    if (!sum || *sum > checked_add(most, kFreeBytes).value_or(UINT64_MAX)) {
      return Error(ErrorCode::kUnsupported,
                   concat(first_.path(), ": tensor ", quoted(matches[i].full_name()),
                          ": it or what stands before it overlaps so often that comparing it "
                          "would not end"));
    }
    total_bytes_ = *sum;
  }
  return tell_progress(0);
}

Result<std::optional<ElementChanges>> ElementPass::compare(std::span<const DiffMatch> matches,
                                                           std::size_t i) {
  if (!is_to_read(matches[i])) return std::optional<ElementChanges>();
  std::optional<ElementChanges>& known = done_[places_[i]];
  if (!known) {
    Result<ElementChanges> read = compare_elements(matches[i]);
    if (!read) return read.error();
    known = *read;
  }
  return known->changed == 0 ? std::nullopt : known;
}

bool ElementPass::is_to_read(const DiffMatch& match) const {
  if (!match.are_tensors()) return false;
  const SideTensor& first = *match.first.tensor;
  const SideTensor& second = *match.second.tensor;
  const TensorView& a = first.view;
  const TensorView& b = second.view;
  if (a.has_no_values() || b.has_no_values() || !first.segment || !second.segment) return false;
  if (!std::ranges::equal(a.shape(), b.shape())) return false;
  if (!are_comparable(a.dtype(), b.dtype())) return false;
  if (!have_one_sign(a, b) && !can_be_resolved(a, b)) return false;
  return !is_known_equal(first, second);
}

bool ElementPass::is_known_equal(const SideTensor& first, const SideTensor& second) const {
  const Digest digest = first_.digest(*first.segment);
  return digest != Digest{} && digest == second_.digest(*second.segment) &&
         first.offset_bytes == second.offset_bytes && have_one_layout(first.view, second.view);
}

Result<ElementChanges> ElementPass::compare_elements(const DiffMatch& match) {
  const TensorView& first = match.first.tensor->view;
  const TensorView& second = match.second.tensor->view;
  ElementComparison comparison(first.dtype(), second.dtype());
  const bool resolves = !have_one_sign(first, second);
  const auto look = [&](std::span<const std::byte> a,
                        std::span<const std::byte> b) -> Result<void> {
    if (resolves) {
      a = resolved(first, a, first_resolved_);
      b = resolved(second, b, second_resolved_);
    }
    comparison.add(a, b);
    return tell_progress(std::max(a.size(), b.size()));
  };
  TensorPair pair = pair_of(first_, second_, match);
  Result<void> read = pair.read(look);
  if (!read) return read.error();
  ElementChanges changes = comparison.changes();
  changes.elements *= pair.repeats();
  changes.changed *= pair.repeats();
  changes.nan_only_in_first *= pair.repeats();
  changes.nan_only_in_second *= pair.repeats();
  return changes;
}

Result<void> ElementPass::tell_progress(std::uint64_t bytes) {
  done_bytes_ += bytes;
  if (!options_.progress || options_.progress(done_bytes_, total_bytes_)) return {};
  return Error(ErrorCode::kCancelled, concat(first_.path(), ": cancelled"));
}

}  // namespace weightmap::convert
