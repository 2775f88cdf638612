// SPDX-License-Identifier: Apache-2.0
#include "convert/export_target.h"

#include <filesystem>

namespace weightmap::convert {

Result<void> check_export_target(const WeightFile& file,
                                 const std::string& target,
                                 io::TargetRule rule,
                                 const ExportOptions& options) {
  rule.replace_any = options.replace_any;
  const std::filesystem::path path(file.path());
  for (const DataFileInfo& data_file : file.data_files()) {
    const auto beside = path.parent_path() / data_file.name;
    // One that cannot be opened, or bytes that only memory holds, cannot be the target either.
    const Result<io::File> source =
        io::File::open(data_file.name.empty() ? file.path() : beside.string());
    if (source) rule.sources.push_back(source->identity());
  }
  return io::check_target(target, rule);
}

}  // namespace weightmap::convert
