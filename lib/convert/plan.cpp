// SPDX-License-Identifier: Apache-2.0
#include "convert/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "format/naming.h"
#include "format/object_content.h"
#include "format/trim.h"
#include "runtime/target_file.h"

namespace weightmap::convert {
namespace {

std::uint16_t flags_of(const checkpoint::Tensor& tensor) {
  unsigned flags = 0;
  if (tensor.is_parameter) flags |= format::kParameter;
  if (tensor.is_buffer) flags |= format::kBuffer;
  if (tensor.requires_grad) flags |= format::kRequiresGrad;
  if (tensor.conj) flags |= format::kConj;
  if (tensor.neg) flags |= format::kNeg;
  if (tensor.meta) flags |= format::kMeta;
  if (tensor.uninitialized) flags |= format::kUninitialized;
  return static_cast<std::uint16_t>(flags);
}

std::uint16_t flags_of(const checkpoint::Composite& composite) {
  unsigned flags = 0;
  if (composite.is_parameter) flags |= format::kParameter;
  if (composite.is_buffer) flags |= format::kBuffer;
  if (composite.requires_grad) flags |= format::kRequiresGrad;
  return static_cast<std::uint16_t>(flags);
}

format::CompositeContent described(const checkpoint::Composite& composite) {
  format::CompositeContent content{.kind = composite.kind,
                                   .dtype = composite.dtype,
                                   .flags = flags_of(composite),
                                   .shape = composite.shape,
                                   .reals = composite.reals,
                                   .integers = composite.integers,
                                   .class_name = composite.class_name};
  for (const checkpoint::CompositePart& part : composite.parts)
    content.parts.push_back({.role = part.role, .tensor = part.tensor});
  return content;
}

format::Object object_of(const checkpoint::Checkpoint& source, std::uint32_t root) {
  static_assert(format::kNoStorage == checkpoint::kNoStorage);
  format::Object object{.values = source.values, .root = root};
  for (const checkpoint::Tensor& tensor : source.tensors) {
    object.tensors.push_back({.dtype = tensor.dtype,
                              .flags = flags_of(tensor),
                              .storage = tensor.storage,
                              .offset_bytes = tensor.offset_bytes,
                              .shape = source.shape(tensor),
                              .strides = source.strides(tensor)});
  }
  for (const checkpoint::Composite& composite : source.composites)
    object.composites.push_back(described(composite));
  for (const checkpoint::Storage& storage : source.storages)
    object.storage_sizes_bytes.push_back(storage.size_bytes);
  return object;
}

// "module\nname" as people write it.
std::string class_text(std::string_view global) {
  std::string text(global);
  std::ranges::replace(text, '\n', '.');
  return text;
}

void collect_opaque_classes(Plan& plan) {
  const ValueGraph& values = plan.content.values;
  std::set<std::string> classes;
  for (std::uint32_t node = 0; node < values.size(); ++node) {
    if (values.node(node).kind == ValueKind::kOpaque) classes.insert(class_text(values.text(node)));
  }
  plan.opaque_classes.assign(classes.begin(), classes.end());
}

}  // namespace

Result<Plan> make_plan(const checkpoint::Checkpoint& source, const ConvertOptions& options) {
  const Result<void> alignment = check_alignment(options.alignment_bytes);
  if (!alignment) return alignment.error();
  const Result<std::uint32_t> root = format::find_by_path(source.values, options.checkpoint.root);
  if (!root) return root.error();
  Result<format::ObjectContent> made = format::content_of(object_of(source, *root));
  if (!made) return made.error();

  Plan plan{.content = std::move(made->content),
            .segments = {},
            .composite_nodes = std::move(made->composite_nodes),
            .opaque_classes = {}};
  for (const std::uint32_t storage : made->storages) {
    plan.segments.push_back(
        {.storage = storage, .size_bytes = source.storages[storage].size_bytes});
  }
  plan.content.alignment_bytes = options.alignment_bytes;
  plan.content.producer = producer_name();
  collect_opaque_classes(plan);
  return plan;
}

std::uint64_t trim_segments(Plan& plan) {
  std::uint64_t left_out = 0;
  for (const SegmentSource& segment : plan.segments)
    left_out += segment.size_bytes;
  std::vector<SegmentSource> kept;
  for (const format::KeptSegment& part : format::trim_segments(plan.content)) {
    SegmentSource& segment = kept.emplace_back(plan.segments[part.segment]);
    segment.begin_bytes += part.range.offset_bytes;
    segment.size_bytes = part.range.size_bytes;
    left_out -= segment.size_bytes;
  }
  plan.segments = std::move(kept);
  return left_out;
}

void drop_unused_segments(Plan& plan) {
  std::vector<SegmentSource> kept;
  for (const std::uint32_t segment : format::drop_unused_segments(plan.content))
    kept.push_back(plan.segments[segment]);
  plan.segments = std::move(kept);
}

}  // namespace weightmap::convert
