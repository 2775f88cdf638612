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

Result<bool> write_export(const WeightFile& file,
                          const std::string& target,
                          const ExportOptions& options,
                          ExportedBytes sizes,
                          const std::function<Result<void>(const ExportedFile&)>& fill) {
  const Result<SegmentDigests> digests = SegmentDigests::of(file);
  if (!digests) return digests.error();
  ProgressTeller progress(options.progress, file.path(), sizes.data);
  const Result<void> going_on = progress.tell(0);
  if (!going_on) return going_on.error();
  Result<io::FileWriter> writer =
      io::FileWriter::create(target, {.size_bytes = sizes.file, .sync = options.sync});
  if (!writer) return writer.error();
  Result<void> written = fill({*writer, *digests, progress});
  if (written) written = writer->commit();
  if (!written) return written.error();
  return digests->all_checked();
}

}  // namespace weightmap::convert
