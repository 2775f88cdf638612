// SPDX-License-Identifier: Apache-2.0
#include "weightmap/load_report.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>

#include "base/text.h"
#include "runtime/load_facts.h"

namespace weightmap {

std::string_view LoadReport::matched(std::size_t number) const {
  const std::uint32_t source = rows()[number].source;
  return file_ ? file_->name(source).substr(prefix_size_) : tensors_[source].key;
}

std::string_view LoadReport::origin(std::size_t number) const {
  return file_ ? file_->path() : tensors_[rows()[number].source].tensor.origin();
}

void LoadReport::share_rows() {
  shared_rows_ = std::make_shared<const std::vector<Row>>(std::move(rows_));
  rows_.clear();
}

const std::byte* LoadReport::data(const Row& row) const {
  return file_ ? file_->tensor(row.source).data() : tensors_[row.source].tensor.view().data();
}

// Sorted by one of two things, rows that are one in it stand together; each is held against the
// first of them in the other.
std::vector<TieDifference> LoadReport::tie_differences() const {
  struct Side {
    std::size_t row;
    const Slot* slot;
    const std::byte* data;
  };
  std::vector<Side> sides;
  sides.reserve(rows().size());
  for (std::size_t row = 0; row < rows().size(); ++row)
    sides.push_back({row, rows()[row].slot, data(rows()[row])});
  std::erase_if(sides, [](const Side& side) { return side.data == nullptr; });

  std::vector<std::pair<std::size_t, TieDifference>> found;
  const auto collect = [&](auto same, auto other, TieDifference::Kind kind) {
    std::ranges::sort(sides, {}, [&](const Side& side) { return std::pair(same(side), side.row); });
    for (std::size_t i = 1, first = 0; i < sides.size(); ++i) {
      if (same(sides[i]) != same(sides[first])) first = i;
      if (other(sides[i]) == other(sides[first])) continue;
      found.push_back({sides[i].row,
                       {.kind = kind,
                        .key = std::string(matched(sides[i].row)),
                        .other = std::string(matched(sides[first].row))}});
    }
  };
  const auto slot = [](const Side& side) { return reinterpret_cast<std::uintptr_t>(side.slot); };
  const auto bytes = [](const Side& side) { return reinterpret_cast<std::uintptr_t>(side.data); };
  collect(slot, bytes, TieDifference::Kind::kOnlyInModule);
  collect(bytes, slot, TieDifference::Kind::kOnlyInFile);

  std::ranges::stable_sort(found, {}, &std::pair<std::size_t, TieDifference>::first);
  std::vector<TieDifference> differences;
  differences.reserve(found.size());
  for (auto& [row, difference] : found)
    differences.push_back(std::move(difference));
  return differences;
}

std::string LoadReport::text() const {
  if (ok()) {
    return concat(is_bind_ ? "bound " : "loaded ", rows().size(), " tensors, ", missing_.size(),
                  " missing, ", unexpected_.size(), " unexpected");
  }
  std::string text = concat("Error(s) in loading state_dict for ", class_name_, ":");
  for (const std::string& error : errors_)
    text += "\n\t" + error;
  return text;
}

Error LoadReport::error() const {
  return {ErrorCode::kMismatch, text()};
}

Diagnosis LoadReport::diagnosis() const {
  LoadOutcome outcome{.taken = {},
                      .missing = missing_,
                      .unexpected = unexpected_,
                      .mismatched = mismatched_,
                      .errors = errors_};
  for (std::size_t i = 0; i < matched_count(); ++i)
    outcome.taken.push_back(matched(i));
  if (facts_ != nullptr) return facts_->diagnose(outcome, diagnosis_options_);
  Diagnosis diagnosis;
  add_failures(outcome, diagnosis);
  return diagnosis;
}

}  // namespace weightmap
