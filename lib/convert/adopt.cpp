// SPDX-License-Identifier: Apache-2.0
// An index alone: the plan of a conversion, its segments left where they are, in the source's own
// files. Nothing but digests needs their bytes.
#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/convert.h"

#include "base/path_text.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/source_file.h"
#include "checkpoint/storage_reader.h"
#include "convert/plan.h"
#include "convert/segment_places.h"
#include "format/segment_digest.h"
#include "io/file.h"
#include "runtime/data_files.h"
#include "runtime/target_file.h"

namespace weightmap {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Storage;
using convert::Plan;
using convert::SegmentSource;

constexpr std::size_t kPieceBytes = std::size_t{4} << 20U;
constexpr std::size_t kNamedTensors = 20;

const Storage& storage_of(const Checkpoint& source, const SegmentSource& segment) {
  return source.storages[segment.storage];
}

std::string_view obstacle(const Storage& storage) {
  if (storage.packing == checkpoint::Packing::kDeflated) return "compressed";
  return storage.swapped_bytes != 1 ? "big-endian" : "";
}

// All tensors whose bytes cannot be used where they are, and the way out.
Result<void> check_is_plain(const Checkpoint& source, const Plan& plan) {
  std::string names;
  std::size_t count = 0;
  for (const format::TensorContent& tensor : plan.content.tensors) {
    if (tensor.segment == format::kNoSegment) continue;
    const auto why = obstacle(storage_of(source, plan.segments[tensor.segment]));
    if (why.empty() || ++count > kNamedTensors) continue;
    names += concat(names.empty() ? "" : ", ", quoted(tensor.name), " (", why, ")");
  }
  if (count == 0) return {};
  if (count > kNamedTensors) names += concat(" and ", count - kNamedTensors, " more");
  return Error(ErrorCode::kUnsupported,
               concat(source.files.front().path(), ": its bytes cannot be used in place: ", names,
                      ": use weightmap convert"));
}

Result<fb::DataFileKind> data_file_kind(const io::File& file) {
  const Result<FileKind> kind = checkpoint::sniff(file);
  if (!kind) return kind.error();
  if (*kind == FileKind::kZip) return fb::DataFileKind::zip;
  if (*kind == FileKind::kSafetensors) return fb::DataFileKind::safetensors;
  return Error(ErrorCode::kUnsupported,
               concat(file.path(), ": is ", file_kind_text(*kind),
                      ", which an index cannot refer to: use weightmap convert"));
}

Result<format::DataFileContent> described(const io::File& file, bool has_digests) {
  const Result<fb::DataFileKind> kind = data_file_kind(file);
  if (!kind) return kind.error();
  const Result<Digest> identity = identity_of(*kind, file);
  if (!identity) return identity.error().with_context(file.path());
  return format::DataFileContent{.name = std::string(name_in(file.path())),
                                 .kind = *kind,
                                 .size_bytes = file.size_bytes(),
                                 .identity = *identity,
                                 .has_digests = has_digests};
}

// Makes the plan's segments ranges of the source's own files.
Result<void> adopt_segments(const Checkpoint& source, Plan& plan, bool has_digests) {
  std::vector<std::optional<convert::SegmentPlace>> places;
  std::vector<format::DataFileContent> files(source.files.size());
  for (const SegmentSource& segment : plan.segments) {
    const Storage& storage = storage_of(source, segment);
    const std::uint64_t begin = storage.offset_bytes + segment.begin_bytes;
    places.push_back({{.file = storage.file, .offset_bytes = begin}});
    if (!files[storage.file].name.empty()) continue;
    Result<format::DataFileContent> file = described(source.files[storage.file], has_digests);
    if (!file) return file.error();
    files[storage.file] = *std::move(file);
  }
  convert::place_segments(plan, places, std::move(files));
  return {};
}

// Reads the segments where they are, for their digests.
class DigestPass {
 public:
  DigestPass(const Checkpoint& source, const Plan& plan, const AdoptOptions& options)
      : source_(source), plan_(plan), options_(options), piece_(kPieceBytes) {
    for (const SegmentSource& segment : plan.segments)
      total_bytes_ += segment.size_bytes;
  }

  std::uint64_t total_bytes() const { return total_bytes_; }

  // Tells progress once before the first byte, too.
  Result<format::ContentDigests> run() {
    if (const Result<void> going_on = tell_progress(0); !going_on) return going_on.error();
    if (!options_.digests) {
      digests_.segments.resize(plan_.segments.size());
      return std::move(digests_);
    }
    for (const SegmentSource& segment : plan_.segments) {
      const Result<void> read = digest(segment);
      if (!read) return read.error();
    }
    return std::move(digests_);
  }

 private:
  Result<void> digest(const SegmentSource& segment) {
    checkpoint::StorageReader reader(source_, storage_of(source_, segment), ahead_);
    const Result<void> skipped = reader.skip(segment.begin_bytes);
    if (!skipped) return skipped.error();
    format::SegmentDigester digester(segment.size_bytes);
    for (std::uint64_t left = segment.size_bytes; left > 0;) {
      const auto now = std::span(piece_).first(std::min<std::uint64_t>(left, piece_.size()));
      const Result<void> read = reader.read(now);
      if (!read) return read.error();
      digester.update(now);
      left -= now.size();
      if (Result<void> going_on = tell_progress(now.size()); !going_on) return going_on;
    }
    append_digests(digests_, digester.finish());
    return {};
  }

  Result<void> tell_progress(std::uint64_t bytes) {
    done_bytes_ += bytes;
    if (!options_.progress || options_.progress(done_bytes_, total_bytes_)) return {};
    return Error(ErrorCode::kCancelled, concat(source_.files.front().path(), ": cancelled"));
  }

  const Checkpoint& source_;
  const Plan& plan_;
  const AdoptOptions& options_;
  io::ReadAhead ahead_;
  std::vector<std::byte> piece_;
  format::ContentDigests digests_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
};

Result<void> check_adoptable(const Checkpoint& source,
                             const std::string& target,
                             const AdoptOptions& options) {
  const Result<void> target_ok =
      check_weight_file_target(source.files, target, options.replace_any);
  if (!target_ok) return target_ok.error();
  for (const io::File& file : source.files) {
    const Result<void> beside = convert::check_is_beside(file, target);
    if (!beside) return beside.error();
  }
  return {};
}

AdoptReport report_of(const Checkpoint& source, const Plan& plan) {
  AdoptReport report{.source_kind = source.kind,
                     .tensor_count = static_cast<std::uint32_t>(plan.content.tensors.size()),
                     .segment_count = static_cast<std::uint32_t>(plan.segments.size()),
                     .opaque_classes = plan.opaque_classes};
  for (const format::DataFileContent& file : plan.content.data_files) {
    report.data_files.push_back({.name = file.name,
                                 .size_bytes = file.size_bytes,
                                 .alignment_bytes = file.alignment_bytes});
  }
  return report;
}

}  // namespace

Result<AdoptReport> adopt_checkpoint(const std::string& source_path,
                                     const std::string& target,
                                     const AdoptOptions& options) {
  const Result<Checkpoint> source = checkpoint::open_checkpoint(
      source_path, {.strict_globals = options.checkpoint.strict_globals, .whole_files = true});
  if (!source) return source.error();
  const Result<void> possible = check_adoptable(*source, target, options);
  if (!possible) return possible.error();
  Result<Plan> plan = convert::make_plan(*source, {.checkpoint = options.checkpoint});
  if (!plan) return plan.error().with_context(source_path);
  const Result<void> plain = check_is_plain(*source, *plan);
  if (!plain) return plain.error();
  const Result<void> adopted = adopt_segments(*source, *plan, options.digests);
  if (!adopted) return adopted.error();
  const Result<format::Layout> layout = lay_out_file(plan->content, source_path);
  if (!layout) return layout.error();

  DigestPass pass(*source, *plan, options);
  const Result<format::ContentDigests> digests = pass.run();
  if (!digests) return digests.error();
  Result<io::FileWriter> writer = begin_file(*layout, target, options.sync);
  if (!writer) return writer.error();
  const Result<Digest> digest = finish_file(*writer, plan->content, *layout, *digests, target);
  if (!digest) return digest.error();
  AdoptReport report = report_of(*source, *plan);
  report.data_bytes = pass.total_bytes();
  report.file_bytes = layout->file_size_bytes;
  report.digest = *digest;
  return report;
}

}  // namespace weightmap
