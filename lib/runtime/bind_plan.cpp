// SPDX-License-Identifier: Apache-2.0
#include "weightmap/bind_plan.h"

#include <algorithm>
#include <bit>

#include "weightmap/module.h"

#include "base/text.h"
#include "runtime/file_loader.h"
#include "runtime/module_hooks.h"
#include "runtime/module_walk.h"
#include "runtime/prefetch.h"

namespace weightmap {
namespace {

// Which module it is that asks for more than its slots. REQUIRES: there is one.
Error hooks_error(Module& root) {
  ModuleWalk walk(root, "");
  while (!has_load_hooks(walk.module()))
    walk.advance();
  const std::string_view prefix = walk.prefix();
  return {ErrorCode::kUnsupported,
          concat("module ", quoted(prefix.substr(0, prefix.rfind('.'))), " (",
                 walk.module().class_name(),
                 "): has load hooks, a load step or extra state, which a plan cannot ask")};
}

Error other_structure(const WeightFile& file, const Digest& found, const Digest& planned) {
  return {ErrorCode::kMismatch, concat(file.path(), ": is not of the plan's structure, ",
                                       found.hex(), " vs ", planned.hex())};
}

}  // namespace

BindPlan::BindPlan(Module& module, LoadOptions options, LoadReport report, const Digest& structure)
    : module_(&module),
      options_(std::move(options)),
      report_(std::move(report)),
      structure_(structure) {
  report_.share_rows();
  report_.file_.reset();
  find_twins();
  find_strictest_alignment();
}

Result<BindPlan> BindPlan::prepare(Module& module,
                                   const WeightFile& file,
                                   const LoadOptions& options) {
  const Result<Digest> structure = file.state_->checked_structure();
  if (!structure) return structure.error();
  std::optional<LoadReport> report = FileLoader(module, file, options, LoadMode::kBind).run();
  if (!report) return hooks_error(module);
  if (!report->ok()) return report->error();
  return BindPlan(module, options, *std::move(report), *structure);
}

void BindPlan::find_twins() {
  std::vector<std::pair<const Slot*, std::uint32_t>> slots;
  slots.reserve(report_.rows().size());
  for (const LoadReport::Row& row : report_.rows())
    slots.emplace_back(row.slot, static_cast<std::uint32_t>(slots.size()));
  std::ranges::sort(slots);
  for (std::size_t i = 1; i < slots.size(); ++i)
    if (slots[i - 1].first == slots[i].first)
      twins_.emplace_back(slots[i - 1].second, slots[i].second);
}

void BindPlan::find_strictest_alignment() {
  std::uint64_t strictest = 1;
  for (const LoadReport::Row& row : report_.rows()) {
    if (!std::has_single_bit(row.slot->alignment_bytes()))
      return void(strictest_alignment_bytes_ = 0);
    strictest = std::max<std::uint64_t>(strictest, row.slot->alignment_bytes());
  }
  strictest_alignment_bytes_ = strictest;
}

LoadReport BindPlan::bind(const WeightFile& file, OtherStructure other) const {
  const Result<Digest> structure = file.state_->checked_structure();
  if (!structure) return Loader::failed(module_->class_name(), structure.error());
  const bool is_other = *structure != structure_;
  if (is_other && other == OtherStructure::kRefuse) {
    return Loader::failed(module_->class_name(), other_structure(file, *structure, structure_));
  }
  if (is_other || !fits(file)) return weightmap::bind(*module_, file, options_);
  FileLoader::point(report_.rows(), file);
  LoadReport report = report_;
  report.file_ = file;
  return report;
}

// All that a structure does not say and a bind asks.
bool BindPlan::fits(const WeightFile& file) const {
  const std::span<const LoadReport::Row> rows = report_.rows();
  for (const LoadReport::Row& row : rows)
    if (!is_in_place(row, file)) return false;
  return std::ranges::all_of(twins_, [&](const auto& twins) {
    const WeightFile::State& state = *file.state_;
    return state.data_of(state.index.entries[rows[twins.first].source]) ==
           state.data_of(state.index.entries[rows[twins.second].source]);
  });
}

bool BindPlan::is_in_place(const LoadReport::Row& row, const WeightFile& file) const {
  const fb::Entry& entry = file.state_->index.entries[row.source];
  if ((entry.flags() & format::kUninitialized) != 0) return row.slot->is_lazy();
  const std::byte* const data = file.state_->data_of(entry);
  if (data == nullptr) return entry.segment() == format::kNoSegment;
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const bool is_for_all =
      strictest_alignment_bytes_ != 0 && (address & (strictest_alignment_bytes_ - 1)) == 0;
  return is_for_all || address % row.slot->alignment_bytes() == 0;
}

}  // namespace weightmap
