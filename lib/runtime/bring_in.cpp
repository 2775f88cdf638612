// SPDX-License-Identifier: Apache-2.0
#include "runtime/bring_in.h"

#include <algorithm>
#include <vector>

#include "runtime/page_ranges.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

std::vector<OpenedFile*> files_of(WeightFile::State& file) {
  std::vector<OpenedFile*> files{&file.own};
  for (OpenedFile& sibling : file.siblings) {
    if (sibling.mapped != nullptr) files.push_back(&sibling);
  }
  return files;
}

// Of data files that are not open no pages are wanted.
std::vector<std::uint32_t> tensors_there(const WeightFile::State& file) {
  std::vector<std::uint32_t> tensors;
  for (std::uint32_t number = 0; number < file.index.entries.size(); ++number) {
    if (file.data_of(file.index.entries[number]) != nullptr) tensors.push_back(number);
  }
  return tensors;
}

PrefaultOptions all_pages(const WeightFile::State& file) {
  const bool all_open = std::ranges::all_of(
      file.siblings, [](const OpenedFile& sibling) { return sibling.mapped != nullptr; });
  return {.tensors = all_open ? std::vector<std::uint32_t>() : tensors_there(file),
          .progress = file.options.progress};
}

}  // namespace

Result<void> bring_in(WeightFile::State& file) {
  const OpenOptions& options = file.options;
  const std::vector<OpenedFile*> files = files_of(file);
  Result<void> there = copy_files(files, options);
  file.own_data = file.own.mapped->bytes().data();
  if (there && options.prefault == Prefault::kBeforeReturn) there = prefault(file, all_pages(file));
  if (!there) return there;
  if (options.lock) std::ranges::for_each(files, [](OpenedFile* opened) { lock_file(*opened); });
  if (options.prefault == Prefault::kBackground) {
    file.prefault = std::make_unique<PrefaultWork>(file, all_pages(file));
  }
  return {};
}

}  // namespace weightmap
