// SPDX-License-Identifier: Apache-2.0
#include "weightmap/bind_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "weightmap/module.h"

#include "base/text.h"
#include "runtime/file_loader.h"
#include "runtime/module_hooks.h"
#include "runtime/module_walk.h"

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

struct BindPlan::Content {
  using Row = LoadReport::Row;
  using Twins = std::pair<std::uint32_t, std::uint32_t>;

  Content(Module& root, LoadOptions bind_options, LoadReport bound, const Digest& of_file);
  std::span<const Row> rows() const { return report.rows(); }

  // All that a structure does not say and a bind asks.
  bool fits(const WeightFile::State& file) const;
  bool is_in_place(const Row& row, const WeightFile::State& file) const;

  Module& module;
  LoadOptions options;
  LoadReport report;  // of the bind that it was made by, without the file
  Digest structure;
  std::vector<FileLoader::Run> runs;
  std::vector<Twins> twins;  // rows of one slot
  // What each slot's alignment divides; 0: nothing is known to be.
  std::uint64_t strictest_alignment_bytes = 0;
};

namespace {

// Neighbours among the rows that are sorted by their slots.
template <typename Row>
std::vector<std::pair<std::uint32_t, std::uint32_t>> twins_of(std::span<const Row> rows) {
  std::vector<std::uint32_t> sorted(rows.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  const auto slot = [&](std::uint32_t row) {
    return std::pair(reinterpret_cast<std::uintptr_t>(rows[row].slot), row);
  };
  std::ranges::sort(sorted, {}, slot);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> twins;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (rows[sorted[i - 1]].slot == rows[sorted[i]].slot)
      twins.emplace_back(sorted[i - 1], sorted[i]);
  }
  return twins;
}

template <typename Row>
std::uint64_t strictest_alignment(std::span<const Row> rows) {
  std::uint64_t strictest = 1;
  for (const Row& row : rows) {
    const std::uint64_t alignment = row.slot->alignment_bytes();
    if (!std::has_single_bit(alignment)) return 0;
    strictest = std::max(strictest, alignment);
  }
  return strictest;
}

}  // namespace

BindPlan::Content::Content(Module& root,
                           LoadOptions bind_options,
                           LoadReport bound,
                           const Digest& of_file)
    : module(root), options(std::move(bind_options)), report(std::move(bound)), structure(of_file) {
  report.share_rows();
  report.file_.reset();
  runs = FileLoader::runs_of(rows());
  twins = twins_of(rows());
  strictest_alignment_bytes = strictest_alignment(rows());
}

bool BindPlan::Content::fits(const WeightFile::State& file) const {
  const auto data_of = [&](std::uint32_t row) {
    return file.data_of(file.index.entries[rows()[row].source]);
  };
  return std::ranges::all_of(rows(), [&](const Row& row) { return is_in_place(row, file); }) &&
         std::ranges::all_of(
             twins, [&](const Twins& pair) { return data_of(pair.first) == data_of(pair.second); });
}

bool BindPlan::Content::is_in_place(const Row& row, const WeightFile::State& file) const {
  const fb::Entry& entry = file.index.entries[row.source];
  if ((entry.flags() & format::kUninitialized) != 0) return row.slot->is_lazy();
  const std::byte* const data = file.data_of(entry);
  if (data == nullptr) return entry.segment() == format::kNoSegment;
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const bool is_for_all =
      strictest_alignment_bytes != 0 && (address & (strictest_alignment_bytes - 1)) == 0;
  return is_for_all || address % row.slot->alignment_bytes() == 0;
}

Result<BindPlan> BindPlan::prepare(Module& module,
                                   const WeightFile& file,
                                   const LoadOptions& options) {
  const Result<Digest> structure = file.state_->checked_structure();
  if (!structure) return structure.error();
  std::optional<LoadReport> report = FileLoader(module, file, options, LoadMode::kBind).run();
  if (!report) return hooks_error(module);
  if (!report->ok()) return report->error();
  return BindPlan(std::make_shared<const Content>(module, options, *std::move(report), *structure));
}

const Digest& BindPlan::structure() const {
  return content_->structure;
}

LoadReport BindPlan::bind(const WeightFile& file, OtherStructure other) const {
  const Content& plan = *content_;
  const Result<Digest> structure = file.state_->checked_structure();
  if (!structure) return Loader::failed(plan.module.class_name(), structure.error());
  const bool is_other = *structure != plan.structure;
  if (is_other && other == OtherStructure::kRefuse) {
    return Loader::failed(plan.module.class_name(),
                          other_structure(file, *structure, plan.structure));
  }
  if (is_other || !plan.fits(*file.state_)) {
    return weightmap::bind(plan.module, file, plan.options);
  }
  FileLoader::point(plan.rows(), plan.runs, file);
  LoadReport report = plan.report;
  report.file_ = file;
  return report;
}

}  // namespace weightmap
