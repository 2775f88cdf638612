// SPDX-License-Identifier: Apache-2.0
#include "weightmap/state_dict.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "base/strided.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

// What a view of a tensor that lies in no file looks at.
struct Described {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::vector<std::byte> bytes;       // of a copy
  std::shared_ptr<const void> owner;  // of bytes that are elsewhere
};

std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> shape) {
  auto strides = checked_contiguous_strides(shape);
  assert(strides);
  return std::move(*strides);
}

[[maybe_unused]] bool lies_in(std::span<const std::byte> part, std::span<const std::byte> whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// Whether the sizes are those of a tensor that has so many bytes at most.
[[maybe_unused]] bool is_sound(Dtype dtype,
                               std::span<const std::int64_t> shape,
                               std::span<const std::int64_t> strides) {
  const auto is_negative = [](std::int64_t number) { return number < 0; };
  return shape.size() == strides.size() && std::ranges::none_of(shape, is_negative) &&
         std::ranges::none_of(strides, is_negative) && checked_element_count(shape) &&
         checked_extent_bytes(dtype, shape, strides);
}

std::span<const std::byte> segment_bytes(const WeightFile& file, std::uint32_t number) {
  const TensorPlace place = file.place(number);
  if (!place.segment) return {};
  const SegmentInfo segment = file.segment(*place.segment);
  const std::span<const std::byte> mapping = file.data_file_mapping(segment.data_file);
  return mapping.empty() ? mapping : mapping.subspan(segment.offset_bytes, segment.size_bytes);
}

ValueGraph graph_of(ValueKind kind, std::uint64_t number) {
  ValueGraph graph;
  graph.add_number(kind, number);
  return graph;
}

// "module\nname" as people write it.
std::string dotted(std::string_view global) {
  std::string text(global);
  std::ranges::replace(text, '\n', '.');
  return text;
}

// By ValueKind; those of objects depend on their text.
constexpr std::array<std::string_view, kValueKindCount> kClassNames{"NoneType",
                                                                    "bool",
                                                                    "int",
                                                                    "int",
                                                                    "float",
                                                                    "complex",
                                                                    "str",
                                                                    "bytes",
                                                                    "bytearray",
                                                                    "list",
                                                                    "tuple",
                                                                    "set",
                                                                    "frozenset",
                                                                    "dict",
                                                                    "collections.OrderedDict",
                                                                    "collections.Counter",
                                                                    "collections.defaultdict",
                                                                    "torch.Size",
                                                                    "torch.dtype",
                                                                    "torch.device",
                                                                    "type",
                                                                    "torch.Tensor",
                                                                    "torch.Tensor",
                                                                    "",
                                                                    ""};

}  // namespace

StateTensor StateTensor::over(Facts facts,
                              const std::byte* data,
                              std::shared_ptr<const void> owner,
                              std::span<const std::byte> storage) {
  const auto kept = std::make_shared<Described>();
  kept->shape = std::move(facts.shape);
  kept->strides = facts.strides ? std::move(*facts.strides) : contiguous_strides(kept->shape);
  kept->owner = std::move(owner);
  assert(is_sound(facts.dtype, kept->shape, kept->strides));
  const TensorView view({.dtype = facts.dtype,
                         .flags = facts.flags,
                         .shape = kept->shape,
                         .strides = kept->strides,
                         .data = data});
  assert(storage.empty() || lies_in(view.extent(), storage));
  return {view, kept, storage.empty() ? view.extent() : storage};
}

StateTensor StateTensor::of_file(const WeightFile& file, std::uint32_t number) {
  StateTensor tensor(file.tensor(number), file.state_, segment_bytes(file, number));
  tensor.origin_ = file.path();
  return tensor;
}

StateTensor StateTensor::copy_of_bytes(Dtype dtype,
                                       std::vector<std::int64_t> shape,
                                       std::span<const std::byte> bytes) {
  const auto copy = std::make_shared<Described>();
  copy->bytes.assign(bytes.begin(), bytes.end());
  const std::byte* const data = copy->bytes.data();
  StateTensor tensor = over({.dtype = dtype, .shape = std::move(shape)}, data, copy, copy->bytes);
  assert(tensor.view().extent().size() == bytes.size());
  return tensor;
}

StateTensor StateTensor::with_flags(std::uint16_t flags) const {
  StateTensor changed = *this;
  changed.view_ = TensorView({.name = view_.name(),
                              .dtype = view_.dtype(),
                              .flags = flags,
                              .shape = view_.shape(),
                              .strides = view_.strides(),
                              .data = view_.data(),
                              .is_absent = view_.is_absent()});
  return changed;
}

StateValue::StateValue(ValueGraph graph,
                       std::vector<StateTensor> tensors,
                       std::vector<StateComposite> composites)
    : parts_(std::make_shared<const Parts>(
          Parts{std::move(graph), std::move(tensors), std::move(composites)})) {
  assert(!parts_->graph.empty());
}

StateValue StateValue::of_integer(std::int64_t number) {
  return StateValue(graph_of(ValueKind::kInt, static_cast<std::uint64_t>(number)));
}

StateValue StateValue::of_real(double number) {
  return StateValue(graph_of(ValueKind::kFloat, std::bit_cast<std::uint64_t>(number)));
}

StateValue StateValue::of_bool(bool truth) {
  return StateValue(graph_of(ValueKind::kBool, truth ? 1 : 0));
}

StateValue StateValue::of_text(std::string_view text) {
  ValueGraph graph;
  graph.add_text(ValueKind::kStr, text);
  return StateValue(std::move(graph));
}

std::optional<std::int64_t> StateValue::integer() const {
  const ValueKind kind = graph().node(graph().root()).kind;
  if (kind != ValueKind::kInt && kind != ValueKind::kBool) return std::nullopt;
  return graph().integer(graph().root());
}

std::optional<double> StateValue::real() const {
  if (const auto number = integer()) return static_cast<double>(*number);
  if (graph().node(graph().root()).kind != ValueKind::kFloat) return std::nullopt;
  return graph().real(graph().root());
}

std::optional<std::string_view> StateValue::text() const {
  if (graph().node(graph().root()).kind != ValueKind::kStr) return std::nullopt;
  return graph().text(graph().root());
}

std::string StateValue::class_name() const {
  const ValueKind kind = graph().node(graph().root()).kind;
  if (kind == ValueKind::kOpaque || kind == ValueKind::kObject) {
    return dotted(graph().text(graph().root()));
  }
  return std::string(kClassNames[static_cast<std::size_t>(kind)]);
}

void consume_prefix_in_state_dict_if_present(StateDict& state_dict, std::string_view prefix) {
  const std::string kept(prefix);  // it may be a part of a key that goes
  std::vector<std::string> names;
  for (const auto& [name, item] : state_dict) {
    if (name.starts_with(kept)) names.push_back(name);
  }
  for (const std::string& name : names)
    state_dict.rename(name, name.substr(kept.size()));

  // PyTorch takes every dot away, not just the last one.
  std::string module_itself = kept;
  std::erase(module_itself, '.');
  OrderedMap<ModuleMetadata>& metadata = state_dict.metadata();
  names.clear();
  for (const auto& [path, module] : metadata) {
    if (path.empty()) continue;
    if (path == module_itself || path.starts_with(kept)) names.push_back(path);
  }
  for (const std::string& path : names)
    metadata.rename(path, path.substr(std::min(path.size(), kept.size())));
}

}  // namespace weightmap
