// SPDX-License-Identifier: Apache-2.0
// The object, its bytes, what the file will say of both, then the bytes themselves: as a conversion
// goes, from memory.
#include "weightmap/save.h"

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "weightmap/module.h"

#include "base/strided.h"
#include "base/text.h"
#include "format/object_content.h"
#include "format/trim.h"
#include "runtime/module_walk.h"
#include "runtime/save_bytes.h"
#include "runtime/save_object.h"
#include "runtime/target_file.h"
#include "runtime/write_blob.h"

namespace weightmap {
namespace {

using Spans = std::vector<std::span<const std::byte>>;

// What the file will say, and the bytes of its segments.
struct Plan {
  format::Content content;
  Spans segments;
};

class SegmentMemory : public BlobSource {
 public:
  explicit SegmentMemory(const Spans& segments) : segments_(segments) {}

  Result<void> begin_segment(std::size_t number) override {
    rest_ = segments_[number];
    return {};
  }

  Result<void> read(std::span<std::byte> into) override {
    std::memcpy(into.data(), rest_.data(), into.size());
    rest_ = rest_.subspan(into.size());
    return {};
  }

 private:
  const Spans& segments_;
  std::span<const std::byte> rest_;
};

// Why the values of a tensor cannot be written; empty when they can.
std::string_view obstacle(const TensorView& view) {
  if (view.is_absent()) return "lies in a data file that is not open";
  if (view.data() == nullptr && !view.has_no_values() && view.element_count() > 0) {
    return "has no bytes, and is not marked as meta";
  }
  return "";
}

Result<void> check_tensors(const SaveObject& object) {
  for (std::size_t i = 0; i < object.tensors.size(); ++i) {
    const std::string_view why = obstacle(object.tensors[i].view());
    if (why.empty()) continue;
    return Error(ErrorCode::kInvalidArgument, concat("tensor ", quoted(object.keys[i]), ": ", why));
  }
  return {};
}

// A file holds elements at multiples of their size from where their storage begins.
Result<void> check_places(const SaveObject& object, const SavedBytes& bytes) {
  for (std::size_t i = 0; i < object.tensors.size(); ++i) {
    const std::uint64_t element = addressed_bytes(object.tensors[i].view().dtype());
    if (bytes.tensors[i].offset_bytes % element == 0) continue;
    return Error(ErrorCode::kUnsupported, concat("tensor ", quoted(object.keys[i]),
                                                 ": shares its storage with others at a "
                                                 "distance that is no multiple of its elements' ",
                                                 element, " bytes"));
  }
  return {};
}

// A meta tensor has no values, whatever it was made over.
bool has_bytes(const TensorView& view) {
  return !view.has_no_values();
}

format::Object described(SaveObject& object, const SavedBytes& bytes) {
  format::Object description{.values = object.values, .root = object.values.root()};
  for (std::size_t i = 0; i < object.tensors.size(); ++i) {
    const TensorView& view = object.tensors[i].view();
    const TensorBytes place = has_bytes(view) ? bytes.tensors[i] : TensorBytes{};
    const unsigned flags = view.flags() & ~unsigned{format::kPart};
    description.tensors.push_back({.dtype = view.dtype(),
                                   .flags = static_cast<std::uint16_t>(flags),
                                   .storage = place.storage,
                                   .offset_bytes = place.offset_bytes,
                                   .shape = view.shape(),
                                   .strides = view.strides()});
  }
  description.composites = std::move(object.composites);
  for (const std::span<const std::byte> storage : bytes.storages)
    description.storage_sizes_bytes.push_back(storage.size());
  return description;
}

Result<Plan> make_plan(SaveObject& object, const SaveOptions& options) {
  const SavedBytes bytes = find_bytes(object.tensors);
  Result<format::ObjectContent> made = format::content_of(described(object, bytes));
  if (!made) return made.error();
  const Result<void> places_ok = check_places(object, bytes);
  if (!places_ok) return places_ok.error();
  Plan plan{.content = std::move(made->content), .segments = {}};
  plan.content.alignment_bytes = options.alignment_bytes;
  plan.content.producer = options.producer.empty() ? producer_name() : options.producer;
  for (const format::KeptSegment& kept : format::trim_segments(plan.content)) {
    const std::span<const std::byte> storage = bytes.storages[made->storages[kept.segment]];
    plan.segments.push_back(storage.subspan(kept.range.offset_bytes, kept.range.size_bytes));
  }
  return plan;
}

Result<SaveReport> write_file(const Plan& plan,
                              const std::string& target,
                              const SaveOptions& options) {
  const Result<format::Layout> layout = lay_out_file(plan.content, target);
  if (!layout) return layout.error();
  SaveReport report{.tensor_count = static_cast<std::uint32_t>(plan.content.tensors.size()),
                    .segment_count = static_cast<std::uint32_t>(plan.segments.size()),
                    .data_bytes = sum_of(plan.content.segment_sizes_bytes),
                    .file_bytes = layout->file_size_bytes,
                    .digest = {}};
  ProgressTeller progress(options.progress, target, report.data_bytes);
  const Result<void> going_on = progress.tell(0);
  if (!going_on) return going_on.error();
  Result<io::FileWriter> writer = begin_file(*layout, target, options.sync);
  if (!writer) return writer.error();
  const auto digests = write_blob(
      *writer, *layout, [&plan] { return std::make_unique<SegmentMemory>(plan.segments); },
      options.jobs, progress);
  if (!digests) return digests.error();
  const Result<Digest> digest = finish_file(*writer, plan.content, *layout, *digests, target);
  if (!digest) return digest.error();
  report.digest = *digest;
  return report;
}

}  // namespace

Result<SaveReport> save(const StateDict& state_dict,
                        const std::string& target,
                        const SaveOptions& options) {
  const Result<void> alignment = check_alignment(options.alignment_bytes);
  if (!alignment) return alignment.error().with_context(target);
  const Result<void> target_ok = check_weight_file_target({}, target, options.replace_any);
  if (!target_ok) return target_ok.error();
  Result<SaveObject> object = object_to_save(state_dict);
  if (!object) return object.error().with_context(target);
  const Result<void> tensors_ok = check_tensors(*object);
  if (!tensors_ok) return tensors_ok.error().with_context(target);
  const Result<Plan> plan = make_plan(*object, options);
  if (!plan) return plan.error().with_context(target);
  return write_file(*plan, target, options);
}

Result<SaveReport> save(Module& module, const std::string& target, const SaveOptions& options) {
  std::vector<std::string> errors;
  ModuleWalk walk(module, "");
  for (; !walk.is_done(); walk.advance())
    note_registration_errors(walk, errors);
  note_loops(walk, errors);
  if (!errors.empty()) {
    return Error(ErrorCode::kInvalidArgument, concat(target, ": ", errors.front()));
  }
  return save(module.state_dict({.keep_vars = options.keep_vars}), target, options);
}

}  // namespace weightmap
