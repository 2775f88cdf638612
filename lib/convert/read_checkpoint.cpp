// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "weightmap/convert.h"

#include "base/strided.h"
#include "convert/plan.h"
#include "convert/source.h"
#include "runtime/target_file.h"

namespace weightmap {
namespace {

using convert::Plan;
using convert::Source;

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

Result<CheckpointContent> read_checkpoint(const std::string& path,
                                          const CheckpointOptions& options) {
  const Result<Source> source = convert::open_source(path, options);
  if (!source) return source.error();
  Result<Plan> plan = convert::make_source_plan(*source, {.checkpoint = options});
  if (!plan) return plan.error().with_context(path);
  convert::trim_segments(*plan);
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
