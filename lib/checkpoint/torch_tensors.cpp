// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_tensors.h"

#include <span>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/composites.h"
#include "checkpoint/tensor_draft.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kMaxRank = 64;

// Of the budget: what a composite takes beside its sizes and its parts.
constexpr std::uint64_t kCompositeUnits = 32;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

bool is_quantized(Dtype dtype) {
  return dtype_name(dtype).starts_with("q");
}

Result<void> check_rank(std::size_t rank) {
  if (rank <= kMaxRank) return {};
  return Error(ErrorCode::kUnsupported,
               concat("a tensor with ", rank, " dimensions, at most ", kMaxRank));
}

Result<void> check_kind(const TensorDraft& draft) {
  const Tensor& tensor = draft.tensor;
  if (draft.shape.size() != draft.strides.size()) {
    return corrupt(concat("a tensor with ", draft.shape.size(), " sizes and ", draft.strides.size(),
                          " strides"));
  }
  if (is_quantized(tensor.dtype) != draft.composite.has_value()) {
    return corrupt(concat("a tensor of the dtype ", dtype_name(tensor.dtype),
                          draft.composite ? ", which cannot be quantized" : " without a scale"));
  }
  if (tensor.conj && !dtype_info(tensor.dtype).is_complex) {
    return corrupt(concat("the conjugate of a tensor of ", dtype_name(tensor.dtype)));
  }
  return check_rank(draft.shape.size());
}

// Whether the tensor lies inside its storage; gives it its place there.
Result<void> place(const TensorDraft& draft,
                   std::span<const std::int64_t> shape,
                   std::span<const std::int64_t> strides,
                   Tensor& tensor) {
  if (!checked_element_count(shape)) return corrupt(concat("a shape of ", list_text(shape)));
  if (tensor.meta || tensor.uninitialized) return {};
  const std::uint64_t element_bytes = addressed_bytes(tensor.dtype);
  const auto offset = draft.offset < 0
                          ? std::nullopt
                          : checked_mul(static_cast<std::uint64_t>(draft.offset), element_bytes);
  const auto extent = checked_extent_bytes(tensor.dtype, shape, strides);
  if (!offset || !extent || !range_fits(*offset, *extent, draft.storage_bytes)) {
    return corrupt(concat("a tensor of ", dtype_name(tensor.dtype), list_text(shape),
                          " with strides ", list_text(strides), " at element ", draft.offset,
                          " does not lie inside its storage of ", draft.storage_bytes, " bytes"));
  }
  tensor.offset_bytes = draft.begin_bytes + *offset;
  return {};
}

}  // namespace

TorchTensors::TorchTensors(const Pickle& pickle,
                           const FindStorage& find_storage,
                           Budget& budget,
                           Checkpoint& into)
    : pickle_(pickle), budget_(budget), into_(into), storages_(pickle, find_storage, into) {}

Result<TorchTensor> TorchTensors::read(const PickleCall& call) {
  const auto draft = read_tensor_call(pickle_, storages_, call);
  if (!draft) return draft.error();
  if (draft->composite) return add_composite(*draft);
  const auto number = add_tensor(*draft);
  if (!number) return number.error();
  return TorchTensor{ValueKind::kTensor, *number, draft->attributes};
}

Result<std::uint32_t> TorchTensors::add_tensor(const TensorDraft& draft) {
  if (auto checked = check_kind(draft); !checked) return checked.error();
  Tensor tensor = draft.tensor;
  tensor.dims_begin = static_cast<std::uint32_t>(into_.dims.size());
  tensor.rank = static_cast<std::uint8_t>(draft.shape.size());
  for (const auto ids : {draft.shape, draft.strides}) {
    if (auto added = add_sizes(ids, into_.dims); !added) return added.error();
  }
  if (auto placed = place(draft, into_.shape(tensor), into_.strides(tensor), tensor); !placed) {
    return placed.error();
  }
  into_.tensors.push_back(tensor);
  return static_cast<std::uint32_t>(into_.tensors.size() - 1);
}

Result<void> TorchTensors::add_sizes(std::span<const ValueId> ids,
                                     std::vector<std::int64_t>& sizes) {
  budget_.spend(ids.size() + 1);
  for (const ValueId id : ids) {
    const PickleValue& size = pickle_.values[id];
    if (size.kind != PickleKind::kInt || size.integer < 0) {
      return corrupt("a size or stride that is no number from 0 to 2^63 - 1");
    }
    sizes.push_back(size.integer);
  }
  return {};
}

Result<TorchTensor> TorchTensors::add_composite(const TensorDraft& draft) {
  Composite composite{.kind = draft.composite->kind,
                      .requires_grad = draft.tensor.requires_grad,
                      .is_parameter = draft.tensor.is_parameter,
                      .reals = draft.composite->reals,
                      .integers = draft.composite->integers};
  budget_.spend(kCompositeUnits);
  if (auto checked = check_rank(draft.shape.size()); !checked) return checked.error();
  if (auto added = add_sizes(draft.shape, composite.shape); !added) return added.error();
  if (!checked_element_count(composite.shape)) {
    return corrupt(concat("a shape of ", list_text(composite.shape)));
  }
  if (composite.kind <= CompositeKind::kQuantizedPerChannelFloat) {
    TensorDraft values = draft;
    values.tensor.requires_grad = false;
    values.tensor.is_parameter = false;
    const auto number = add_tensor(values);
    if (!number) return number.error();
    composite.parts.push_back({"values", *number});
  }
  for (const PartDraft& part : draft.composite->parts) {
    const auto number = add_part(part.value);
    if (!number) return number.error().with_context(concat("the part ", quoted(part.role)));
    composite.parts.push_back({std::string(part.role), *number});
  }
  if (auto done = complete(composite); !done) return done.error();
  into_.composites.push_back(std::move(composite));
  const auto number = static_cast<std::uint32_t>(into_.composites.size() - 1);
  return TorchTensor{ValueKind::kComposite, number, draft.attributes};
}

// A tensor that two composites have in common becomes two over one storage.
Result<std::uint32_t> TorchTensors::add_part(ValueId value) {
  const PickleValue& of = pickle_.values[value];
  if (of.kind != PickleKind::kCall || !makes_plain_tensor(pickle_, pickle_.calls[of.slot])) {
    return Error(ErrorCode::kUnsupported, "is no tensor");
  }
  const auto draft = read_tensor_call(pickle_, storages_, pickle_.calls[of.slot]);
  if (!draft) return draft.error();
  if (draft->composite) {
    return Error(ErrorCode::kUnsupported, "is itself made of several tensors");
  }
  if (draft->attributes != kNoValue) {
    return Error(ErrorCode::kUnsupported, "has attributes of its own");
  }
  return add_tensor(*draft);
}

Result<std::uint32_t> TorchTensors::read_strided(const SubclassCall& call) {
  const auto draft = read_tensor_arguments(pickle_, storages_, call.function, call.arguments);
  if (!draft) return draft.error();
  return add_tensor(*draft);
}

// requires_grad is the composite's.
std::uint32_t TorchTensors::add_strided(const SubclassCall& call, std::uint32_t tensor) {
  Tensor& values = into_.tensors[tensor];
  const auto shape = into_.shape(values);
  Composite composite{.kind = CompositeKind::kWrapperSubclass,
                      .dtype = values.dtype,
                      .requires_grad = std::exchange(values.requires_grad, false),
                      .shape = {shape.begin(), shape.end()},
                      .parts = {{std::string("values"), tensor}},
                      .class_name = global_text(call.type)};
  return add(std::move(composite));
}

Result<std::uint32_t> TorchTensors::add_wrapper(const SubclassCall& call,
                                                const WrapperDraft& draft) {
  Composite composite{.kind = CompositeKind::kWrapperSubclass,
                      .dtype = draft.dtype,
                      .requires_grad = draft.requires_grad,
                      .class_name = global_text(call.type)};
  if (auto checked = check_rank(draft.shape.size()); !checked) return checked.error();
  if (auto added = add_sizes(draft.shape, composite.shape); !added) return added.error();
  if (auto added = add_sizes(draft.strides, composite.integers); !added) return added.error();
  composite.integers.push_back(draft.offset);
  if (!checked_element_count(composite.shape)) {
    return corrupt(concat("a shape of ", list_text(composite.shape)));
  }
  return add(std::move(composite));
}

std::optional<std::uint32_t> TorchTensors::add_jagged(const JaggedDraft& draft) {
  const auto offsets = into_.shape(into_.tensors[draft.offsets]);
  if (offsets.size() != 1 || offsets[0] == 0) return std::nullopt;
  return add({.kind = CompositeKind::kWrapperSubclass,
              .dtype = into_.tensors[draft.values].dtype,
              .requires_grad = draft.requires_grad,
              .shape = {offsets[0] - 1},
              .integers = {draft.ragged_dimension},
              .class_name = global_text(kJaggedClass)});
}

std::uint32_t TorchTensors::add(Composite composite) {
  budget_.spend(kCompositeUnits + composite.class_name.size());
  into_.composites.push_back(std::move(composite));
  return static_cast<std::uint32_t>(into_.composites.size() - 1);
}

// What PyTorch derives from the parts.
Result<void> TorchTensors::complete(Composite& composite) const {
  const Tensor& values = part_of(into_, composite, "values");
  composite.dtype = values.dtype;
  composite.requires_grad |= values.requires_grad;
  if (composite.kind == CompositeKind::kQuantizedPerChannel &&
      part_of(into_, composite, "scales").dtype == Dtype::kFloat32) {
    composite.kind = CompositeKind::kQuantizedPerChannelFloat;
  }
  if (composite.kind == CompositeKind::kNested) {
    const auto sizes = into_.shape(part_of(into_, composite, "sizes"));
    composite.shape.assign(sizes.begin(), sizes.begin() + (sizes.empty() ? 0 : 1));
  }
  if (auto checked = check_composite(into_, composite); !checked) return checked;
  if (composite.kind == CompositeKind::kSparseCoo && composite.integers.empty()) {
    composite.integers.push_back(into_.shape(values)[0] < 2 ? 1 : 0);  // before 2.1
  }
  return {};
}

}  // namespace weightmap::checkpoint
