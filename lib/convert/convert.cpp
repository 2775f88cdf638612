// SPDX-License-Identifier: Apache-2.0
// Open, plan, lay out, stream: each byte of the source is read once, hashed on its way and written
// once. Header and index come last, into room that was left for them.
#include "weightmap/convert.h"

#include <utility>

#include "base/strided.h"
#include "convert/cast.h"
#include "convert/plan.h"
#include "convert/planned_bytes.h"
#include "convert/select.h"
#include "convert/source.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"

namespace weightmap {
namespace {

using convert::Plan;
using convert::PlannedBytes;
using convert::Source;

struct Written {
  Digest digest;  // of the index
  std::vector<std::string> crc_mismatches;
};

Result<Written> write_file(const Source& source,
                           const Plan& plan,
                           const format::Layout& layout,
                           const std::string& target,
                           const ConvertOptions& options) {
  PlannedBytes bytes(source, plan, options);
  ProgressTeller progress(options.progress, source.checkpoint.files.front().path(),
                          sum_of(plan.content.segment_sizes_bytes));
  const Result<void> going_on = progress.tell(0);  // before there is a target
  if (!going_on) return going_on.error();
  Result<io::FileWriter> writer = begin_file(layout, target, options.sync);
  if (!writer) return writer.error();
  const auto digests = write_blob(*writer, layout, bytes, progress);
  if (!digests) return digests.error();
  const auto digest = finish_file(*writer, plan.content, layout, *digests, target);
  if (!digest) return digest.error();
  return Written{*digest, bytes.crc_mismatches()};
}

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

CheckpointTensor described(const Source& source,
                           const Plan& plan,
                           const format::TensorContent& tensor) {
  CheckpointTensor description{.name = tensor.name,
                               .dtype = tensor.dtype,
                               .shape = tensor.shape,
                               .strides = tensor.strides,
                               .flags = tensor.flags};
  if (tensor.segment == format::kNoSegment) return description;
  const convert::SegmentSource& segment = plan.segments[tensor.segment];
  const checkpoint::Storage& storage = source.checkpoint.storages[segment.storage];
  description.segment = tensor.segment;
  description.file = storage.file;
  description.offset_bytes = storage.offset_bytes + segment.begin_bytes + tensor.offset_bytes;
  description.extent_bytes = *checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides);
  description.segment_offset_bytes = storage.offset_bytes + segment.begin_bytes;
  description.segment_size_bytes = segment.size_bytes;
  return description;
}

CheckpointComposite described(const format::CompositeContent& composite) {
  CheckpointComposite description{.name = composite.name,
                                  .kind = composite.kind,
                                  .dtype = composite.dtype,
                                  .shape = composite.shape,
                                  .flags = composite.flags,
                                  .reals = composite.reals,
                                  .integers = composite.integers,
                                  .class_name = composite.class_name};
  for (const format::PartContent& part : composite.parts) {
    description.parts.push_back({.role = part.role, .tensor = part.tensor});
  }
  return description;
}

}  // namespace

Result<ConvertReport> convert_checkpoint(const std::string& source_path,
                                         const std::string& target,
                                         const ConvertOptions& options) {
  const Result<Source> source = convert::open_source(source_path, options.checkpoint);
  if (!source) return source.error();
  const checkpoint::Checkpoint& files = source->checkpoint;
  const Result<void> target_ok = check_weight_file_target(files.files, target, options.replace_any);
  if (!target_ok) return target_ok.error();
  ConvertReport report{.source_kind = source->checkpoint.kind};
  const Result<Plan> plan = make_changed_plan(*source, options, report);
  if (!plan) return plan.error().with_context(source_path);
  const Result<format::Layout> layout = lay_out_file(plan->content, source_path);
  if (!layout) return layout.error();

  const Result<void> crcs_ok = convert::check_crcs(*source, options, files.crc_mismatches);
  if (!crcs_ok) return crcs_ok.error();
  const Result<Written> written = write_file(*source, *plan, *layout, target, options);
  if (!written) return written.error();
  report.tensor_count = static_cast<std::uint32_t>(plan->content.tensors.size());
  report.segment_count = static_cast<std::uint32_t>(layout->segments.size());
  report.data_bytes = sum_of(plan->content.segment_sizes_bytes);
  report.file_bytes = layout->file_size_bytes;
  report.digest = written->digest;
  report.opaque_classes = plan->opaque_classes;
  report.locations.assign(files.locations.begin(), files.locations.end());
  report.crc_mismatches = files.crc_mismatches;
  report.crc_mismatches.insert(report.crc_mismatches.end(), written->crc_mismatches.begin(),
                               written->crc_mismatches.end());
  return report;
}

Result<CheckpointContent> read_checkpoint(const std::string& path,
                                          const CheckpointOptions& options) {
  const Result<Source> source = convert::open_source(path, options);
  if (!source) return source.error();
  ConvertReport unused;
  Result<Plan> plan = make_changed_plan(*source, {.checkpoint = options}, unused);
  if (!plan) return plan.error().with_context(path);
  const Result<format::Layout> layout = lay_out_file(plan->content, path);
  if (!layout) return layout.error();

  CheckpointContent content{.source_kind = source->checkpoint.kind};
  for (const io::File& file : source->checkpoint.files) {
    content.files.push_back({.path = file.path(), .size_bytes = file.size_bytes()});
    content.size_bytes += file.size_bytes();
  }
  for (const format::TensorContent& tensor : plan->content.tensors) {
    content.tensors.push_back(described(*source, *plan, tensor));
  }
  for (const format::CompositeContent& composite : plan->content.composites) {
    content.composites.push_back(described(composite));
  }
  for (const format::ModuleContent& module : plan->content.modules) {
    content.modules.push_back({.path = module.path, .version = module.version});
  }
  content.values = std::move(plan->content.values);
  content.opaque_classes = std::move(plan->opaque_classes);
  return content;
}

}  // namespace weightmap
