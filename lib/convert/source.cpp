// SPDX-License-Identifier: Apache-2.0
#include "convert/source.h"

#include <utility>

#include "base/text.h"
#include "runtime/weight_file_state.h"

namespace weightmap::convert {
namespace {

checkpoint::Storage storage_of(const WeightFile& file, std::uint32_t number) {
  const SegmentInfo segment = file.segment(number);
  return {.key = concat("segment ", number),
          .file = segment.data_file,
          .offset_bytes = segment.offset_bytes,
          .packed_bytes = segment.size_bytes,
          .size_bytes = segment.size_bytes};
}

Result<void> open_weight_file(WeightFile file, Source& source) {
  Result<std::vector<Digest>> digests = file.segment_digests();
  if (!digests) return digests.error();
  source.digests = std::move(*digests);
  source.checkpoint.kind = "weight file";
  source.checkpoint.files = files_of(file);
  for (std::uint32_t number = 0; number < file.segment_count(); ++number)
    source.checkpoint.storages.push_back(storage_of(file, number));
  source.weight_file.emplace(std::move(file));
  return {};
}

Result<void> open_checkpoint(const std::string& path,
                             const CheckpointOptions& options,
                             Source& source) {
  Result<checkpoint::Checkpoint> opened =
      checkpoint::open_checkpoint(path, {.strict_globals = options.strict_globals});
  if (!opened) return opened.error();
  source.checkpoint = std::move(*opened);
  return {};
}

}  // namespace

std::vector<io::File> files_of(const WeightFile& file) {
  std::vector<io::File> files;
  for (const OpenedFile* const opened : state_of(file).open_files())
    files.push_back(*opened->mapped->file());
  return files;
}

Result<Source> open_source(const std::string& path, const CheckpointOptions& options) {
  Source source;
  const Result<WeightFile> file = WeightFile::open(path, {.mapping = Mapping::kShared});
  const bool is_other = !file && (file.error().code() == ErrorCode::kWrongKind ||
                                  file.error().code() == ErrorCode::kInvalidArgument);
  if (!file && !is_other) return file.error();
  const Result<void> opened =
      file ? open_weight_file(*file, source) : open_checkpoint(path, options, source);
  if (!opened) return opened.error();
  return source;
}

Result<Plan> make_source_plan(const Source& source, const ConvertOptions& options) {
  if (source.weight_file) return make_plan(*source.weight_file, options);
  return make_plan(source.checkpoint, options);
}

}  // namespace weightmap::convert
