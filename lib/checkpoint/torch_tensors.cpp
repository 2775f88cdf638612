// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_tensors.h"

#include <span>
#include <string>

#include "base/checked.h"
#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/tensor_draft.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kMaxRank = 64;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

bool is_quantized(Dtype dtype) {
  return dtype_name(dtype).starts_with("q");
}

Result<void> check_kind(const TensorDraft& draft) {
  const Tensor& tensor = draft.tensor;
  if (draft.shape.size() != draft.strides.size()) {
    return corrupt(concat("a tensor with ", draft.shape.size(), " sizes and ", draft.strides.size(),
                          " strides"));
  }
  if (draft.shape.size() > kMaxRank) {
    return Error(ErrorCode::kUnsupported,
                 concat("a tensor with ", draft.shape.size(), " dimensions, at most ", kMaxRank));
  }
  if (is_quantized(tensor.dtype)) {
    return Error(ErrorCode::kUnsupported,
                 concat("a tensor of the quantized dtype ", dtype_name(tensor.dtype)));
  }
  if (tensor.conj && !dtype_info(tensor.dtype).is_complex) {
    return corrupt(concat("the conjugate of a tensor of ", dtype_name(tensor.dtype)));
  }
  return {};
}

// Whether the tensor lies inside its storage; gives it its place there.
Result<void> place(const TensorDraft& draft,
                   std::span<const std::int64_t> shape,
                   std::span<const std::int64_t> strides,
                   Tensor& tensor) {
  if (!checked_element_count(shape)) return corrupt(concat("a shape of ", list_text(shape)));
  if (tensor.meta || tensor.uninitialized) return {};
  const std::uint64_t element_bytes = dtype_info(tensor.dtype).element_bits / 8;
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
  auto draft = read_tensor_call(pickle_, storages_, call);
  if (!draft) return draft.error();
  if (auto checked = check_kind(*draft); !checked) return checked.error();
  Tensor& tensor = draft->tensor;
  tensor.dims_begin = static_cast<std::uint32_t>(into_.dims.size());
  tensor.rank = static_cast<std::uint8_t>(draft->shape.size());
  budget_.spend(2 * draft->shape.size() + 1);
  for (const auto ids : {draft->shape, draft->strides}) {
    for (const ValueId id : ids) {
      const PickleValue& size = pickle_.values[id];
      if (size.kind != PickleKind::kInt || size.integer < 0) {
        return corrupt("a size or stride that is no number from 0 to 2^63 - 1");
      }
      into_.dims.push_back(size.integer);
    }
  }
  if (auto placed = place(*draft, into_.shape(tensor), into_.strides(tensor), tensor); !placed) {
    return placed.error();
  }
  into_.tensors.push_back(tensor);
  return TorchTensor{static_cast<std::uint32_t>(into_.tensors.size() - 1), draft->attributes};
}

}  // namespace weightmap::checkpoint
