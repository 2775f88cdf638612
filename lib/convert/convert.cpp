// SPDX-License-Identifier: Apache-2.0
// Open, plan, lay out, stream: each byte of the source is read once, hashed on its way and written
// once. Header and index come last, into room that was left for them.
#include "weightmap/convert.h"

#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/storage_reader.h"
#include "convert/plan.h"
#include "convert/target_file.h"
#include "format/segment_digest.h"
#include "io/file_writer.h"

namespace weightmap {
namespace {

using checkpoint::Checkpoint;
using convert::Plan;

// Moves the segments' bytes into the target and learns their digests.
class DataPass {
 public:
  DataPass(const Checkpoint& source,
           const Plan& plan,
           const format::Layout& layout,
           const ConvertOptions& options,
           io::FileWriter& writer)
      : source_(source), plan_(plan), layout_(layout), options_(options), writer_(writer) {}

  Result<format::ContentDigests> run() {
    for (std::size_t segment = 0; segment < layout_.segments.size(); ++segment) {
      const Result<void> padded = writer_.pad_to(layout_.segments[segment].offset_bytes);
      if (!padded) return padded.error();
      const Result<void> copied = copy(plan_.segments[segment]);
      if (!copied) return copied.error();
    }
    return std::move(digests_);
  }

 private:
  Result<void> copy(const convert::SegmentSource& segment) {
    checkpoint::StorageReader reader(source_, source_.storages[segment.storage]);
    const Result<void> skipped = reader.skip(segment.begin_bytes);
    if (!skipped) return skipped.error();
    format::SegmentDigester digester(segment.size_bytes);
    for (std::uint64_t done = 0; done < segment.size_bytes;) {
      const std::span<std::byte> room = writer_.room(segment.size_bytes - done);
      const Result<void> read = reader.read(room);
      if (!read) return read.error();
      digester.update(room);
      const Result<void> written = writer_.advance(room.size());
      if (!written) return written.error();
      done += room.size();
      if (!tell_progress(room.size())) {
        return Error(ErrorCode::kCancelled, concat(source_.files.front().path(), ": cancelled"));
      }
    }
    auto [digest, chunks] = digester.finish();
    digests_.segments.push_back(digest);
    digests_.chunks.insert(digests_.chunks.end(), chunks.begin(), chunks.end());
    return {};
  }

  bool tell_progress(std::uint64_t bytes) {
    done_bytes_ += bytes;
    return !options_.progress || options_.progress(done_bytes_, layout_.header.blob.size_bytes);
  }

  const Checkpoint& source_;
  const Plan& plan_;
  const format::Layout& layout_;
  const ConvertOptions& options_;
  io::FileWriter& writer_;
  format::ContentDigests digests_;
  std::uint64_t done_bytes_ = 0;
};

// Returns the digest of the index.
Result<Digest> write_file(const Checkpoint& source,
                          const Plan& plan,
                          const format::Layout& layout,
                          const std::string& target,
                          const ConvertOptions& options) {
  Result<io::FileWriter> writer = convert::begin_file(layout, target, options.sync);
  if (!writer) return writer.error();
  const auto digests = DataPass(source, plan, layout, options, *writer).run();
  if (!digests) return digests.error();
  return convert::finish_file(*writer, plan.content, layout, *digests, target);
}

Result<Checkpoint> open_source(const std::string& path, const CheckpointOptions& options) {
  return checkpoint::open_checkpoint(path, {.strict_globals = options.strict_globals});
}

CheckpointTensor described(const Checkpoint& source,
                           const Plan& plan,
                           const format::TensorContent& tensor) {
  CheckpointTensor description{.name = tensor.name,
                               .dtype = tensor.dtype,
                               .shape = tensor.shape,
                               .strides = tensor.strides,
                               .flags = tensor.flags};
  if (tensor.segment == format::kNoSegment) return description;
  const convert::SegmentSource& segment = plan.segments[tensor.segment];
  const checkpoint::Storage& storage = source.storages[segment.storage];
  description.segment = tensor.segment;
  description.offset_bytes = storage.offset_bytes + segment.begin_bytes + tensor.offset_bytes;
  description.extent_bytes = *checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides);
  description.segment_offset_bytes = storage.offset_bytes + segment.begin_bytes;
  description.segment_size_bytes = segment.size_bytes;
  return description;
}

}  // namespace

Result<ConvertReport> convert_checkpoint(const std::string& source_path,
                                         const std::string& target,
                                         const ConvertOptions& options) {
  const Result<Checkpoint> source = open_source(source_path, options.checkpoint);
  if (!source) return source.error();
  const Result<void> target_ok = convert::check_target(source->files, target, options.replace_any);
  if (!target_ok) return target_ok.error();
  const Result<Plan> plan = convert::make_plan(*source, options);
  if (!plan) return plan.error().with_context(source_path);
  const Result<format::Layout> layout = format::lay_out(plan->content);
  if (!layout) {
    // Two names alike, a name that is none: valid in a checkpoint, not to be kept in a weight file.
    return Error(ErrorCode::kUnsupported, concat(source_path, ": ", layout.error().message()));
  }

  const Result<Digest> digest = write_file(*source, *plan, *layout, target, options);
  if (!digest) return digest.error();
  return ConvertReport{.source_kind = source->kind,
                       .tensor_count = static_cast<std::uint32_t>(plan->content.tensors.size()),
                       .segment_count = static_cast<std::uint32_t>(layout->segments.size()),
                       .data_bytes = convert::sum(plan->content.segment_sizes_bytes),
                       .file_bytes = layout->file_size_bytes,
                       .digest = *digest,
                       .opaque_classes = plan->opaque_classes};
}

Result<CheckpointContent> read_checkpoint(const std::string& path,
                                          const CheckpointOptions& options) {
  const Result<Checkpoint> source = open_source(path, options);
  if (!source) return source.error();
  Result<Plan> plan = convert::make_plan(*source, {.checkpoint = options});
  if (!plan) return plan.error().with_context(path);

  CheckpointContent content{.source_kind = source->kind,
                            .size_bytes = source->files.front().size_bytes()};
  for (const format::TensorContent& tensor : plan->content.tensors) {
    content.tensors.push_back(described(*source, *plan, tensor));
  }
  for (const format::ModuleContent& module : plan->content.modules) {
    content.modules.push_back({.path = module.path, .version = module.version});
  }
  content.values = std::move(plan->content.values);
  content.opaque_classes = std::move(plan->opaque_classes);
  return content;
}

}  // namespace weightmap
