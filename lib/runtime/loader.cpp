// SPDX-License-Identifier: Apache-2.0
#include "runtime/loader.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "weightmap/module.h"

#include "base/copy_elements.h"
#include "base/text.h"
#include "runtime/slot_home.h"

namespace weightmap {
namespace {

std::string key_list(std::string_view title, std::span<const std::string> keys) {
  std::string text(title);
  for (const std::string& key : keys) {
    if (&key != keys.data()) text += ", ";
    text += concat("\"", key, "\"");
  }
  return text + ". ";
}

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::less()(a.data(), b.data() + b.size()) && std::less()(b.data(), a.data() + a.size());
}

std::span<const std::byte> extent_of(const Slot& slot) {
  return TensorView({.dtype = slot.dtype(),
                     .shape = slot.shape(),
                     .strides = slot.strides(),
                     .data = slot.bytes()})
      .extent();
}

void copy_into(const Slot& to, const TensorView& from) {
  // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
  const auto strides = from.strides().first(to.shape().size());
  const bool is_itself = from.data() == to.bytes() && from.dtype() == to.dtype() &&
                         std::ranges::equal(strides, to.strides()) && !from.is_conj() &&
                         !from.is_neg();
  if (is_itself) return;
  // A state dict may hold views of the very memory that its module loads into.
  std::vector<std::byte> apart;
  if (overlap(from.extent(), extent_of(to)))
    apart.assign(from.extent().begin(), from.extent().end());
  copy_elements({.dtype = from.dtype(),
                 .shape = to.shape(),
                 .strides = strides,
                 .data = apart.empty() ? from.data() : apart.data(),
                 .conj = from.is_conj(),
                 .neg = from.is_neg()},
                {.dtype = to.dtype(), .strides = to.strides(), .data = to.mutable_bytes()});
}

}  // namespace

Loader::Loader(const LoadOptions& options, LoadMode mode) : options_(options), mode_(mode) {
  report_.is_bind_ = mode == LoadMode::kBind;
  report_.prefix_size_ = options.prefix.size();
}

LoadReport Loader::failed(std::string class_name, const Error& error) {
  LoadReport report;
  report.class_name_ = std::move(class_name);
  report.errors_.push_back(error.message());
  return report;
}

void Loader::judge(Slot& slot, std::uint32_t source) {
  const Row* const twin = slot.is_lazy() ? row_of(slot) : nullptr;
  auto mismatch = find_mismatch(slot, tensor(source), key(source), mode_);
  if (!mismatch && twin != nullptr) mismatch = find_twin_mismatch(*twin, source);
  if (mismatch) return note_mismatch(std::move(*mismatch));
  accept(slot, source);
}

// A lazy slot will be what the first tensor is that comes, and takes the second as that.
std::optional<Mismatch> Loader::find_twin_mismatch(const Row& twin, std::uint32_t source) const {
  const TensorView first = tensor(twin.source);
  if (first.is_uninitialized() || mode_ == LoadMode::kBind) return std::nullopt;
  const Slot as_first(
      {.dtype = first.dtype(), .shape = {first.shape().begin(), first.shape().end()}});
  return find_mismatch(as_first, tensor(source), key(source), mode_);
}

void Loader::note_mismatch(Mismatch mismatch) {
  const bool is_ignored =
      options_.ignore_mismatched_sizes && mismatch.reason == Mismatch::Reason::kShape;
  if (!is_ignored) messages_.push_back(mismatch.text);
  report_.mismatched_.push_back(std::move(mismatch));
}

bool Loader::keeps_tie(std::uint32_t row, std::uint32_t source) {
  const Row& twin = report_.rows_[row];
  if (mode_ != LoadMode::kBind || !breaks_tie(twin, source)) return true;
  twin.slot->row_ = row;
  note_mismatch(tie_mismatch(key(source), key(twin.source)));
  return false;
}

bool Loader::breaks_tie(const Row& twin, std::uint32_t source) const {
  const TensorView first = tensor(twin.source);
  const TensorView second = tensor(source);
  // There is nothing to be one, or two, in empty tensors.
  const bool is_elsewhere = first.data() != second.data() && second.element_count() > 0;
  if (is_elsewhere || first.dtype() != second.dtype()) return true;
  const Slot& slot = *twin.slot;
  if (slot.is_lazy() && !std::ranges::equal(first.shape(), second.shape())) return true;
  // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
  const std::size_t rank = slot.is_lazy() ? second.shape().size() : slot.shape().size();
  return !std::ranges::equal(first.strides().first(rank), second.strides().first(rank));
}

void Loader::finish(std::span<const std::string> registration_errors, std::size_t slot_count) {
  collect_errors(registration_errors, slot_count);
  if (report_.ok() && mode_ == LoadMode::kLoad) find_memory();
  if (!report_.ok()) {
    report_.diagnosis_options_ = {.strict = options_.strict,
                                  .check_dtypes = mode_ == LoadMode::kBind};
    report_.facts_ = std::make_shared<LoadFacts>(facts());
    return;
  }
  if (mode_ == LoadMode::kBind) {
    point_slots();
  } else {
    copy_values();
  }
}

void Loader::collect_errors(std::span<const std::string> registration_errors,
                            std::size_t slot_count) {
  auto& errors = report_.errors_;
  errors.assign(registration_errors.begin(), registration_errors.end());
  if (options_.strict && !report_.missing_.empty()) {
    errors.push_back(key_list("Missing key(s) in state_dict: ", report_.missing_));
  }
  if (options_.strict && !report_.unexpected_.empty()) {
    errors.push_back(key_list("Unexpected key(s) in state_dict: ", report_.unexpected_));
  }
  std::ranges::move(messages_, std::back_inserter(errors));
  const bool is_nothing = report_.rows_.empty() && slot_count > 0 && errors.empty();
  if (is_nothing && !options_.strict && !options_.allow_nothing) {
    errors.push_back(concat("strict=false matched 0 of ", slot_count, " keys: nothing was loaded"));
  }
}

// All of it, before any slot changes: how much that is may be the file's word.
void Loader::find_memory() {
  for (const Row& row : report_.rows_) {
    const TensorView from = tensor(row.source);
    const Slot& to = *row.slot;
    if (from.is_uninitialized() || to.mutable_bytes() != nullptr) continue;
    auto [place, is_new] = memory_.try_emplace(&to);
    if (!is_new) continue;
    place->second = to.is_lazy() ? Slot::memory_for(from.dtype(), from.shape())
                                 : Slot::memory_for(to.dtype(), to.shape());
    if (place->second != nullptr) continue;
    report_.errors_.push_back(concat("While copying the parameter named \"", key(row.source),
                                     "\": there is not enough memory for it"));
    return;
  }
}

void Loader::copy_values() {
  for (const Row& row : report_.rows_) {
    const TensorView from = tensor(row.source);
    if (from.is_uninitialized()) continue;
    Slot& to = *row.slot;
    if (to.is_lazy()) to.become(from.dtype(), from.shape());
    if (to.mutable_bytes() == nullptr) to.take_memory(memory_[&to]);
    copy_into(to, from);
  }
  leave_files();
}

void Loader::leave_files() {
  for (const Row& row : report_.rows_)
    if (row.slot->home_ != nullptr) row.slot->home_->note_unused();
  let_go_of_unused(report_.rows_);
}

// Each home looks once, whatever the order of the slots.
void Loader::let_go_of_unused(std::span<const Row> rows) {
  for (const Row& row : rows)
    if (row.slot->home_ != nullptr) row.slot->home_->let_go_of_unused();
}

}  // namespace weightmap
