// SPDX-License-Identifier: Apache-2.0
#include "runtime/slot_fit.h"

#include <algorithm>

#include "base/copy_elements.h"
#include "base/text.h"

namespace weightmap {
namespace {

using Reason = Mismatch::Reason;

// PyTorch's way to write a shape.
std::string size_text(std::span<const std::int64_t> shape) {
  return concat("torch.Size(", list_text(shape), ")");
}

template <typename... Pieces>
Mismatch mismatch(std::string_view key, Reason reason, const Pieces&... pieces) {
  return {.key = std::string(key), .reason = reason, .text = concat(pieces...)};
}

// PyTorch's words for what `copy_` throws. The shapes fit by then; one of shape [1] for a 0-dim
// slot has become its element.
Mismatch copy_failure(const Slot& slot,
                      const TensorView& tensor,
                      std::string_view key,
                      std::string_view what) {
  const std::string size = size_text(slot.is_lazy() ? tensor.shape() : slot.shape());
  return mismatch(key, Reason::kValues, "While copying the parameter named \"", key,
                  "\", whose dimensions in the model are ", size,
                  " and whose dimensions in the checkpoint are ", size,
                  ", an exception occurred : ('", what, "',).");
}

bool shape_fits(const Slot& slot, const TensorView& tensor) {
  const auto shape = tensor.shape();
  if (slot.is_lazy() || std::ranges::equal(slot.shape(), shape)) return true;
  // Scalars were saved with shape [1] before PyTorch 0.4.
  return slot.shape().empty() && shape.size() == 1 && shape[0] == 1;
}

bool is_aligned(const Slot& slot, const TensorView& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % slot.alignment_bytes() == 0;
}

bool dtype_fits(const Slot& slot, const TensorView& tensor) {
  return slot.dtype() == tensor.dtype() || slot.takes_any_dtype() || slot.is_lazy();
}

// A bind hands out the stored bytes as they are.
std::optional<Mismatch> find_bind_mismatch(const Slot& slot,
                                           const TensorView& tensor,
                                           std::string_view key) {
  if (!dtype_fits(slot, tensor)) {
    return mismatch(key, Reason::kDtype, "dtype mismatch for ", key, ": the file has ",
                    dtype_name(tensor.dtype()), ", the slot wants ", dtype_name(slot.dtype()), ".");
  }
  if (tensor.is_meta() || tensor.is_conj() || tensor.is_neg()) {
    return mismatch(key, Reason::kValues, "values mismatch for ", key, ": the file's tensor ",
                    tensor.is_meta() ? "has no values." : "is stored conjugated or negated.");
  }
  if (slot.layout() == SlotLayout::kContiguous && !tensor.is_contiguous()) {
    return mismatch(key, Reason::kLayout, "layout mismatch for ", key, ": the file's strides are ",
                    list_text(tensor.strides()), ", the slot wants contiguous elements.");
  }
  if (!is_aligned(slot, tensor)) {
    return mismatch(key, Reason::kAlignment, "alignment mismatch for ", key,
                    ": the slot's elements lie at multiples of ", slot.alignment_bytes(),
                    " bytes, the file's do not.");
  }
  return std::nullopt;
}

std::optional<Mismatch> find_load_mismatch(const Slot& slot,
                                           const TensorView& tensor,
                                           std::string_view key) {
  if (tensor.is_meta()) {
    return copy_failure(slot, tensor, key, "Cannot copy out of meta tensor; no data!");
  }
  const Dtype to = slot.is_lazy() ? tensor.dtype() : slot.dtype();
  if (!can_copy(tensor.dtype(), to)) {
    return copy_failure(
        slot, tensor, key,
        concat("no conversion from ", dtype_name(tensor.dtype()), " to ", dtype_name(to)));
  }
  return std::nullopt;
}

std::string_view composite_text(CompositeKind kind) {
  switch (kind) {
    case CompositeKind::kQuantizedPerTensor:
    case CompositeKind::kQuantizedPerChannel:
    case CompositeKind::kQuantizedPerChannelFloat: return "a quantized tensor";
    case CompositeKind::kSparseCoo:
    case CompositeKind::kSparseCsr:
    case CompositeKind::kSparseCsc:
    case CompositeKind::kSparseBsr:
    case CompositeKind::kSparseBsc: return "a sparse tensor";
    case CompositeKind::kNested: return "a nested tensor";
    case CompositeKind::kWrapperSubclass: return "an object of a tensor subclass";
  }
  return "a composite";
}

}  // namespace

std::optional<Mismatch> find_mismatch(const Slot& slot,
                                      const TensorView& tensor,
                                      std::string_view key,
                                      LoadMode mode) {
  if (tensor.is_uninitialized()) {
    if (slot.is_lazy()) return std::nullopt;
    return mismatch(key, Reason::kValues, "values mismatch for ", key,
                    ": the file's tensor is a lazy parameter without a shape.");
  }
  if (!shape_fits(slot, tensor)) {
    return mismatch(key, Reason::kShape, "size mismatch for ", key, ": copying a param with shape ",
                    size_text(tensor.shape()), " from checkpoint, the shape in current model is ",
                    size_text(slot.shape()), ".");
  }
  if (tensor.is_absent()) {
    return mismatch(key, Reason::kValues, "values mismatch for ", key,
                    ": the file's tensor lies in a data file that is not open.");
  }
  return mode == LoadMode::kBind ? find_bind_mismatch(slot, tensor, key)
                                 : find_load_mismatch(slot, tensor, key);
}

Mismatch composite_mismatch(const Slot& slot,
                            const CompositeView& composite,
                            std::string_view key) {
  return {.key = std::string(key),
          .reason = Reason::kComposite,
          .text = concat(
              "kind mismatch for ", key, ": the file's is ", composite_text(composite.kind()), " (",
              composite_kind_name(composite.kind()), " of ", dtype_name(composite.dtype()),
              "), the slot wants the elements of one ", dtype_name(slot.dtype()), " tensor.")};
}

Mismatch class_mismatch(std::string_view key, std::string_view class_name) {
  return mismatch(key, Reason::kValues, "While copying the parameter named \"", key,
                  "\", expected torch.Tensor or Tensor-like object from checkpoint but received "
                  "<class '",
                  class_name, "'>");
}

Mismatch tie_mismatch(std::string_view key, std::string_view twin) {
  return {.key = std::string(key),
          .reason = Reason::kTie,
          .text = concat("tie mismatch for ", key, ": it is one with ", twin,
                         " in the module, but not in the file.")};
}

}  // namespace weightmap
