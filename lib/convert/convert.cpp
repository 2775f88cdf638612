// SPDX-License-Identifier: Apache-2.0
// Open, plan, lay out, stream: each byte of the source is read once, hashed on its way and written
// once. Header and index come last, into room that was left for them. What a base has already is
// compared instead of written; what is too much for one file goes to several before.
#include "weightmap/convert.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "convert/base_file.h"
#include "convert/cast.h"
#include "convert/plan.h"
#include "convert/planned_bytes.h"
#include "convert/segment_places.h"
#include "convert/select.h"
#include "convert/shards.h"
#include "convert/shared_segments.h"
#include "convert/source.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"
#include "runtime/write_blob.h"

namespace weightmap {
namespace {

using convert::BaseFile;
using convert::CrcMismatches;
using convert::Plan;
using convert::PlannedBytes;
using convert::SegmentPlace;
using convert::Shard;
using convert::Source;
using Digests = format::SegmentDigester::Digests;

// The plan after everything that the options change, which is told in the report.
Result<Plan> make_changed_plan(const Source& source,
                               const ConvertOptions& options,
                               ConvertReport& report) {
  if (options.whole_storages && options.float_dtype) {
    return Error(ErrorCode::kInvalidArgument,
                 "whole storages cannot be cast: bytes outside of tensors have no dtype");
  }
  Result<Plan> plan = convert::make_source_plan(source, options);
  if (!plan) return plan.error();
  Result<convert::Selected> selected = convert::select_tensors(*plan, options.selection);
  if (!selected) return selected.error();
  report.rules = std::move(selected->rules);
  report.left_out_tensors = selected->left_out_tensors;
  report.left_out_values = selected->left_out_values;
  convert::drop_unused_segments(*plan);
  if (!options.whole_storages) report.trimmed_bytes = convert::trim_segments(*plan);
  if (!options.float_dtype) return plan;
  const Result<std::uint32_t> cast = convert::cast_floats(*plan, *options.float_dtype);
  if (!cast) return cast.error();
  report.cast_tensors = *cast;
  return plan;
}

// A plan on its way to a file: where its segments come to stand, and what becomes known of them.
class Conversion {
 public:
  // REQUIRES: all outlive it.
  Conversion(const Source& source,
             Plan& plan,
             format::Layout layout,
             const std::string& target,
             const ConvertOptions& options)
      : plan_(plan),
        layout_(std::move(layout)),
        target_(target),
        options_(options),
        path_(source.checkpoint.files.front().path()),
        source_(source),
        progress_(options.progress, path_, sum_of(plan.content.segment_sizes_bytes)),
        shards_(target, options.sync, options.jobs),
        digests_(plan.segments.size()) {}

  // Tells progress for the first time: before this there must be no target.
  Result<void> begin() { return progress_.tell(0); }

  // Finds segments that the base has already.
  Result<void> share(const BaseFile& base) {
    auto shared = convert::find_shared_segments(base.file(), source_, plan_, bytes_of({}),
                                                options_.jobs, progress_);
    if (!shared) return shared.error();
    std::vector<std::optional<SegmentPlace>> places(shared->size());
    for (std::size_t i = 0; i < shared->size(); ++i) {
      if (!(*shared)[i]) continue;
      const SegmentInfo segment = base.file().segment((*shared)[i]->number);
      places[i] = {.file = segment.data_file, .offset_bytes = segment.offset_bytes};
      digests_[i] = std::move((*shared)[i]->digests);
    }
    return place(places, base.data_files());
  }

  // Writes the segments to shards where all would be too much for the file itself.
  Result<void> spread() {
    const std::size_t count = plan_.content.segment_sizes_bytes.size();
    if (count == 0 || layout_.file_size_bytes <= options_.max_shard_bytes) return {};
    Result<void> possible = convert::check_can_refer(target_);
    if (!possible) return possible;
    const auto shards = convert::plan_shards(plan_, options_.max_shard_bytes, target_);
    if (!shards) return shards.error();
    std::vector<std::optional<SegmentPlace>> places(count);
    for (std::uint32_t number = 0; number < shards->size(); ++number) {
      Result<void> written = write_shard((*shards)[number], number, shards->size(), places);
      if (!written) return written;
    }
    return place(places, shards_.files());
  }

  // The file itself: what has no place elsewhere, and the index. Returns the digest of that.
  Result<Digest> finish() {
    Result<io::FileWriter> writer = begin_file(layout_, target_, options_.sync);
    if (!writer) return writer.error();
    auto digests = write_blob(*writer, layout_, bytes_of({}), options_.jobs, progress_);
    if (!digests) return digests.error();
    for (std::size_t i = layout_.segments.size(); i < digests_.size(); ++i)
      append_digests(*digests, digests_[i]);
    const Result<void> unchanged = convert::check_unchanged(plan_.content.data_files, target_);
    if (!unchanged) return unchanged.error();
    const auto digest = write_front(*writer, plan_.content, layout_, *digests, target_);
    if (!digest) return digest.error();
    const Result<void> committed = writer->commit();
    if (!committed) return committed.error();
    return *digest;
  }

  std::uint64_t file_bytes() const { return layout_.file_size_bytes; }
  std::vector<std::string> crc_mismatches() const {
    return crc_mismatches_.texts(source_.checkpoint);
  }
  const std::vector<format::DataFileContent>& shard_files() const { return shards_.files(); }

 private:
  // Of these segments of the plan, or where there are none, of all. REQUIRES: they outlive it.
  MakeBlobSource bytes_of(std::span<const std::uint32_t> segments) {
    return [this, segments] {
      return std::make_unique<PlannedBytes>(source_, plan_, options_, crc_mismatches_, segments);
    };
  }

  Result<void> place(const std::vector<std::optional<SegmentPlace>>& places,
                     std::vector<format::DataFileContent> files) {
    std::vector<Digests> reordered;
    for (const std::uint32_t old : convert::place_segments(plan_, places, std::move(files)))
      reordered.push_back(std::move(digests_[old]));
    digests_ = std::move(reordered);
    Result<format::Layout> layout = lay_out_file(plan_.content, path_);
    if (!layout) return layout.error();
    layout_ = *std::move(layout);
    return {};
  }

  Result<void> write_shard(const Shard& shard,
                           std::uint32_t number,
                           std::size_t count,
                           std::vector<std::optional<SegmentPlace>>& places) {
    auto digests = shards_.write(shard, number + 1, count, bytes_of(shard.segments), progress_);
    if (!digests) return digests.error();
    for (std::size_t i = 0; i < shard.segments.size(); ++i) {
      places[shard.segments[i]] = {.file = number,
                                   .offset_bytes = shard.layout.segments[i].offset_bytes};
      digests_[shard.segments[i]] = std::move((*digests)[i]);
    }
    return {};
  }

  Plan& plan_;
  format::Layout layout_;  // of the file itself, as the plan has it now
  const std::string& target_;
  const ConvertOptions& options_;
  std::string path_;  // of the source
  const Source& source_;
  CrcMismatches crc_mismatches_;
  ProgressTeller progress_;
  convert::ShardWriter shards_;
  std::vector<Digests> digests_;  // by segment; nothing of those that are not written yet
};

// What the file refers to, and what was left of those that it referred to before.
void report_data_files(const Plan& plan,
                       const Conversion& conversion,
                       const std::string& target,
                       ConvertReport& report) {
  std::vector<std::string> left = convert::shard_names_of(target);
  for (const format::DataFileContent& file : plan.content.data_files) {
    std::erase(left, file.name);
    ReferredFile& told = report.data_files.emplace_back(
        ReferredFile{.name = file.name,
                     .size_bytes = file.size_bytes,
                     .alignment_bytes = file.alignment_bytes,
                     .segment_count = static_cast<std::uint32_t>(file.segments.size())});
    for (const format::Range& segment : file.segments)
      told.data_bytes += segment.size_bytes;
    told.is_shard =
        std::ranges::find(conversion.shard_files(), file.name, &format::DataFileContent::name) !=
        conversion.shard_files().end();
    if (told.is_shard) continue;
    report.reused_segments += told.segment_count;
    report.reused_bytes += told.data_bytes;
  }
  report.left_shards = std::move(left);
}

Result<std::optional<BaseFile>> open_base(const std::string& target,
                                          const ConvertOptions& options) {
  std::optional<BaseFile> base;
  if (options.base.empty()) return base;
  Result<BaseFile> opened = BaseFile::open(options.base, target);
  if (!opened) return opened.error();
  base.emplace(std::move(*opened));
  return base;
}

Result<void> write_file(Conversion& conversion,
                        const Plan& plan,
                        const std::optional<BaseFile>& base,
                        const std::string& target,
                        const ConvertOptions& options,
                        ConvertReport& report) {
  Result<void> done = conversion.begin();
  if (done && base) done = conversion.share(*base);
  if (done && options.max_shard_bytes > 0) done = conversion.spread();
  if (!done) return done;
  const Result<Digest> digest = conversion.finish();
  if (!digest) return digest.error();
  report.digest = *digest;
  report.file_bytes = conversion.file_bytes();
  report_data_files(plan, conversion, target, report);
  for (std::string& mismatch : conversion.crc_mismatches())
    report.crc_mismatches.push_back(std::move(mismatch));
  return {};
}

}  // namespace

Result<ConvertReport> convert_checkpoint(const std::string& source_path,
                                         const std::string& target,
                                         const ConvertOptions& options) {
  const Result<Source> source = convert::open_source(source_path, options.checkpoint);
  if (!source) return source.error();
  const checkpoint::Checkpoint& checkpoint = source->checkpoint;
  const Result<void> target_ok =
      check_weight_file_target(checkpoint.files, target, options.replace_any);
  if (!target_ok) return target_ok.error();
  const Result<std::optional<BaseFile>> base = open_base(target, options);
  if (!base) return base.error();
  ConvertReport report{.source_kind = checkpoint.kind};
  Result<Plan> plan = make_changed_plan(*source, options, report);
  if (!plan) return plan.error().with_context(source_path);
  Result<format::Layout> layout = lay_out_file(plan->content, source_path);
  if (!layout) return layout.error();
  const Result<void> crcs_ok = convert::check_crcs(checkpoint, options, checkpoint.crc_mismatches);
  if (!crcs_ok) return crcs_ok.error();

  report.tensor_count = static_cast<std::uint32_t>(plan->content.tensors.size());
  report.segment_count = static_cast<std::uint32_t>(plan->segments.size());
  report.data_bytes = sum_of(plan->content.segment_sizes_bytes);
  report.opaque_classes = plan->opaque_classes;
  report.locations.assign(checkpoint.locations.begin(), checkpoint.locations.end());
  for (const checkpoint::CrcMismatch& mismatch : checkpoint.crc_mismatches)
    report.crc_mismatches.push_back(convert::mismatch_text(checkpoint, mismatch));
  Conversion conversion(*source, *plan, *std::move(layout), target, options);
  const Result<void> written = write_file(conversion, *plan, *base, target, options, report);
  if (!written) return written.error();
  return report;
}

}  // namespace weightmap
