// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <string_view>

#include "weightmap/weight_file.h"

#include "base/text.h"
#include "io/file_system.h"
#include "io/mapped_pages.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

MappingReport report_of(const OpenedFile& opened, const OpenOptions& options) {
  const io::MappedFile& mapped = *opened.mapped;
  const io::MappedPages pages = io::mapped_pages(mapped.bytes());
  return {.path = opened.path,
          .file_system = mapped.file() ? io::file_system_of(*mapped.file()).name : "memory",
          .asked = options.mapping,
          .got = opened.got,
          .reason = opened.reason,
          .is_from_cache = opened.is_from_cache,
          .size_bytes = mapped.bytes().size(),
          .resident_bytes = pages.resident_bytes,
          .huge_bytes = pages.huge_bytes,
          .locked_bytes = mapped.locked_bytes(),
          .lock_problem = opened.lock_problem,
          .is_guarded = mapped.guard() != nullptr};
}

std::string_view mapping_text(Mapping mapping) {
  constexpr std::array<std::string_view, 4> kTexts{"automatic", "shared", "private", "copied"};
  return kTexts.at(static_cast<std::size_t>(mapping));
}

std::string bytes_text(const std::optional<std::uint64_t>& bytes, std::string_view what) {
  return bytes ? concat(", ", *bytes, " ", what) : "";
}

std::string line_of(const MappingReport& file) {
  std::string line = concat(file.path, ": ", file.size_bytes, " bytes on ", file.file_system, ", ",
                            mapping_text(file.got));
  if (!file.reason.empty()) line += concat(", since ", file.reason);
  if (file.is_from_cache) line += ", a mapping that was there";
  line += bytes_text(file.resident_bytes, "in the page table");
  line += bytes_text(file.huge_bytes, "by pages of 2 MiB");
  if (file.locked_bytes > 0) line += ", locked";
  if (!file.lock_problem.empty()) line += concat(", not locked: ", file.lock_problem);
  if (file.is_guarded) line += ", guarded";
  return line + "\n";
}

}  // namespace

std::string OpenReport::text() const {
  std::string text;
  for (const MappingReport& file : files)
    text += line_of(file);
  if (prefault != Prefault::kNone) text += concat("prefault: ", prefaulted_bytes, " bytes\n");
  if (!prefault_problem.empty()) text += concat("prefault ended early: ", prefault_problem, "\n");
  if (is_guard_replaced) text += "guard: another handler of SIGBUS took its place\n";
  return text;
}

OpenReport WeightFile::report() const {
  OpenReport report{.prefault = state_->options.prefault};
  for (const OpenedFile* const opened : state_->open_files()) {
    report.files.push_back(report_of(*opened, state_->options));
    const bool is_all_there = report.prefault == Prefault::kBeforeReturn;
    report.prefaulted_bytes += is_all_there ? opened->mapped->bytes().size() : 0;
    report.is_guard_replaced |= report.files.back().is_guarded && !io::FaultGuard::is_in_force();
  }
  if (const PrefaultWork* const work = state_->prefault.get()) {
    report.prefaulted_bytes = work->done_bytes();
    if (work->is_done() && !work->outcome()) {
      report.prefault_problem = work->outcome().error().message();
    }
  }
  return report;
}

}  // namespace weightmap
