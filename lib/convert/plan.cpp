// SPDX-License-Identifier: Apache-2.0
#include "convert/plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string_view>
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

std::vector<std::int64_t> listed(std::span<const std::int64_t> numbers) {
  return {numbers.begin(), numbers.end()};
}

// The content of a weight file, and the segments as storages in the order of first use.
class FilePlan {
 public:
  explicit FilePlan(const WeightFile& file)
      : file_(file), numbers_(file.segment_count(), format::kNoSegment) {}

  Result<Plan> make() {
    Result<ValueGraph> values = file_.values();
    if (!values) return values.error();
    for (std::uint32_t number = 0; number < file_.tensor_count(); ++number)
      add_tensor(number);
    for (std::uint32_t number = 0; number < file_.composite_count(); ++number)
      add_composite(file_.composite(number));
    plan_.content.values = std::move(*values);
    add_what_values_tell();
    return std::move(plan_);
  }

 private:
  void add_tensor(std::uint32_t number) {
    const TensorView view = file_.tensor(number);
    const TensorPlace place = file_.place(number);
    format::TensorContent tensor{.name = std::string(view.name()),
                                 .dtype = view.dtype(),
                                 .flags = view.flags(),
                                 .shape = listed(view.shape()),
                                 .strides = listed(view.strides())};
    if (place.segment) {
      tensor.segment = number_of(*place.segment);
      tensor.offset_bytes = place.offset_bytes - file_.segment(*place.segment).offset_bytes;
    }
    plan_.content.tensors.push_back(std::move(tensor));
  }

  std::uint32_t number_of(std::uint32_t segment) {
    std::uint32_t& number = numbers_[segment];
    if (number != format::kNoSegment) return number;
    const std::uint64_t size_bytes = file_.segment(segment).size_bytes;
    number = static_cast<std::uint32_t>(plan_.segments.size());
    plan_.segments.push_back({.storage = segment, .size_bytes = size_bytes});
    plan_.content.segment_sizes_bytes.push_back(size_bytes);
    return number;
  }

  void add_composite(const CompositeView& view) {
    format::CompositeContent composite{.name = std::string(view.name()),
                                       .kind = view.kind(),
                                       .dtype = view.dtype(),
                                       .flags = view.flags(),
                                       .shape = listed(view.shape()),
                                       .reals = {view.reals().begin(), view.reals().end()},
                                       .integers = listed(view.integers()),
                                       .class_name = std::string(view.class_name())};
    for (const CompositePart& part : view.parts())
      composite.parts.push_back({.role = std::string(part.role), .tensor = part.number});
    plan_.content.composites.push_back(std::move(composite));
  }

  // What only the paths in the values tell: the order of modules, and the node of each composite,
  // of which an object under several names has one together. Values that name nothing tell nothing.
  void add_what_values_tell() {
    format::Content& content = plan_.content;
    for (const ModuleVersion& module : file_.modules())
      content.modules.push_back({std::string(module.path), module.version});
    plan_.composite_nodes.assign(content.composites.size(), kNoNode);
    if (content.values.empty()) return;
    const auto names =
        format::name_tensors(content.values, content.values.root(), content.composites);
    if (!names) return;
    order_modules(names->modules);
    find_composite_nodes(names->tensors);
  }

  void order_modules(const std::vector<format::NamedModule>& modules) {
    std::map<std::string_view, std::size_t> places;
    for (const format::NamedModule& module : modules)
      places.emplace(module.path, places.size());
    std::ranges::stable_sort(plan_.content.modules, {}, [&](const format::ModuleContent& module) {
      const auto found = places.find(module.path);
      return found == places.end() ? places.size() : found->second;
    });
  }

  void find_composite_nodes(const std::vector<format::NamedTensor>& named) {
    for (const format::NamedTensor& tensor : named) {
      if (plan_.content.values.node(tensor.node).kind != ValueKind::kComposite) continue;
      const auto number = file_.find_composite_number(tensor.name);
      if (number) plan_.composite_nodes[*number] = tensor.node;
    }
  }

  const WeightFile& file_;
  std::vector<std::uint32_t> numbers_;  // by segment of the file
  Plan plan_;
};

void finish(Plan& plan, const ConvertOptions& options) {
  plan.content.alignment_bytes = options.alignment_bytes;
  plan.content.producer = producer_name();
  collect_opaque_classes(plan);
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
  finish(plan, options);
  return plan;
}

Result<Plan> make_plan(const WeightFile& source, const ConvertOptions& options) {
  const Result<void> alignment = check_alignment(options.alignment_bytes);
  if (!alignment) return alignment.error();
  const std::string& root = options.checkpoint.root;
  if (!root.empty()) {
    return Error(
        ErrorCode::kInvalidArgument,
        concat("a root is for checkpoints, this is a weight file: include ",
               quoted(concat(root, ".*")), " and strip the prefix ", quoted(concat(root, "."))));
  }
  Result<Plan> plan = FilePlan(source).make();
  if (plan) finish(*plan, options);
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
