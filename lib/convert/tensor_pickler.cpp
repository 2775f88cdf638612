// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_tensor.py, torch/nn/parameter.py and
// torch/serialization.py of 2.13.
#include "convert/tensor_pickler.h"

#include "base/text.h"
#include "checkpoint/storage_class.h"

namespace weightmap::convert {
namespace {

constexpr std::uint32_t kUnnumbered = 0xFFFFFFFFU;
constexpr std::string_view kUtilities = "torch._utils";

// The type of the storage that torch.save writes for a tensor: its own, or bytes.
Dtype storage_dtype(Dtype dtype) {
  return checkpoint::storage_class_of(dtype) ? dtype : Dtype::kUInt8;
}

// Segments whose tensors need storages of several types. torch.save refuses these, torch.load takes
// them when each says its dtype itself.
std::vector<bool> mixed_segments(const WeightFile& file) {
  std::vector<bool> mixed(file.segment_count(), false);
  std::vector<std::optional<Dtype>> types(file.segment_count());
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const auto segment = file.place(number).segment;
    if (!segment) continue;
    const Dtype type = storage_dtype(file.tensor(number).dtype());
    if (types[*segment].value_or(type) != type) mixed[*segment] = true;
    types[*segment] = type;
  }
  return mixed;
}

std::uint64_t element_bytes(Dtype dtype) {
  return dtype_info(dtype).element_bits / 8;
}

}  // namespace

TensorPickler::TensorPickler(const WeightFile& file, PickleWriter& into)
    : file_(file),
      out_(into),
      is_mixed_(mixed_segments(file)),
      numbers_(file.segment_count(), kUnnumbered) {}

Result<void> TensorPickler::write(std::uint32_t number) {
  const TensorView tensor = file_.tensor(number);
  ++tensor_count_;
  if (tensor.is_uninitialized()) {
    uninitialized(tensor);
    return {};
  }
  const Result<void> begun =
      tensor.is_parameter() ? begin_parameter(number, false) : begin_call(number, false);
  if (!begun) return begun;
  if (tensor.is_parameter()) out_.tuple();
  out_.reduce();
  return {};
}

Result<void> TensorPickler::begin_with_attributes(std::uint32_t number) {
  ++tensor_count_;
  return file_.tensor(number).is_parameter() ? begin_parameter(number, true)
                                             : begin_call(number, true);
}

void TensorPickler::end_with_attributes() {
  out_.tuple();
  out_.reduce();
}

Result<void> TensorPickler::begin_parameter(std::uint32_t number, bool with_attributes) {
  const TensorView tensor = file_.tensor(number);
  out_.global(kUtilities, with_attributes ? "_rebuild_parameter_with_state" : "_rebuild_parameter");
  out_.mark();
  function(tensor, number);
  const Result<void> data = arguments(number, false);
  if (!data) return data;
  out_.reduce();
  out_.boolean(tensor.requires_grad());
  hooks();
  return {};
}

// With attributes: _rebuild_from_type_v2(function, type, arguments, state).
Result<void> TensorPickler::begin_call(std::uint32_t number, bool with_attributes) {
  const TensorView tensor = file_.tensor(number);
  if (with_attributes) {
    out_.global("torch._tensor", "_rebuild_from_type_v2");
    out_.mark();
  }
  function(tensor, number);
  if (with_attributes) out_.global("torch", "Tensor");
  return arguments(number, tensor.requires_grad());
}

void TensorPickler::function(const TensorView& tensor, std::uint32_t number) {
  if (tensor.is_meta()) return out_.global(kUtilities, "_rebuild_meta_tensor_no_storage");
  const bool typed = is_typed(number, tensor.dtype());
  out_.global(kUtilities, typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
}

Result<void> TensorPickler::arguments(std::uint32_t number, bool requires_grad) {
  const TensorView tensor = file_.tensor(number);
  if (tensor.is_meta()) {
    meta_arguments(tensor, requires_grad);
    return {};
  }
  const TensorPlace place = file_.place(number);
  const std::uint64_t begin = place.segment ? file_.segment(*place.segment).offset_bytes : 0;
  const std::uint64_t offset = place.segment ? place.offset_bytes - begin : 0;
  const std::uint64_t size = element_bytes(tensor.dtype());
  if (size == 0 || offset % size != 0) {
    return Error(
        ErrorCode::kUnsupported,
        concat(quoted(tensor.name()), ": begins at byte ", offset,
               " of its storage, which is no multiple of its elements of ", size, " bytes"));
  }
  const bool typed = is_typed(number, tensor.dtype());
  out_.mark();
  storage(number, tensor, typed);
  out_.integer(static_cast<std::int64_t>(offset / size));
  out_.integers(tensor.shape());
  out_.integers(tensor.strides());
  out_.boolean(requires_grad);
  hooks();
  if (!typed) out_.global("torch", dtype_name(tensor.dtype()));
  lazy_bits(tensor);
  out_.tuple();
  return {};
}

void TensorPickler::meta_arguments(const TensorView& tensor, bool requires_grad) {
  out_.mark();
  out_.global("torch", dtype_name(tensor.dtype()));
  out_.integers(tensor.shape());
  out_.integers(tensor.strides());
  out_.boolean(requires_grad);
  out_.tuple();
}

void TensorPickler::uninitialized(const TensorView& tensor) {
  out_.global("torch.nn.parameter",
              tensor.is_parameter() ? "UninitializedParameter" : "UninitializedBuffer");
  out_.boolean(tensor.requires_grad());
  out_.tuple_of_1();
  out_.reduce();
}

// ('storage', type, key, location, number of elements)
void TensorPickler::storage(std::uint32_t number, const TensorView& tensor, bool typed) {
  const auto segment = file_.place(number).segment;
  const std::uint64_t size_bytes = segment ? file_.segment(*segment).size_bytes : 0;
  const std::uint64_t unit = typed ? element_bytes(tensor.dtype()) : 1;
  out_.mark();
  out_.remembered_text("storage");
  if (typed) {
    out_.global("torch", *checkpoint::storage_class_of(tensor.dtype()));
  } else {
    out_.global("torch.storage", "UntypedStorage");
  }
  out_.text(concat(storage_of(segment)));
  out_.remembered_text("cpu");
  out_.integer(static_cast<std::int64_t>(size_bytes / unit));
  out_.tuple();
  out_.persistent_id();
}

void TensorPickler::lazy_bits(const TensorView& tensor) {
  if (!tensor.is_conj() && !tensor.is_neg()) return;
  out_.empty_dict();
  for (const auto& [name, is_set] :
       {std::pair("conj", tensor.is_conj()), std::pair("neg", tensor.is_neg())}) {
    if (!is_set) continue;
    out_.remembered_text(name);
    out_.boolean(true);
    out_.set_item();
  }
}

// torch.save has written an empty one ever since tensors can have hooks.
void TensorPickler::hooks() {
  out_.global("collections", "OrderedDict");
  out_.empty_tuple();
  out_.reduce();
}

// Whether the storage has the tensor's type; else it counts bytes, and the tensor says its dtype.
bool TensorPickler::is_typed(std::uint32_t number, Dtype dtype) const {
  if (!checkpoint::storage_class_of(dtype)) return false;
  const auto segment = file_.place(number).segment;
  if (!segment) return true;
  return !is_mixed_[*segment] && file_.segment(*segment).size_bytes % element_bytes(dtype) == 0;
}

std::uint32_t TensorPickler::storage_of(std::optional<std::uint32_t> segment) {
  const auto next = static_cast<std::uint32_t>(storages_.size());
  if (segment && numbers_[*segment] != kUnnumbered) return numbers_[*segment];
  if (segment) numbers_[*segment] = next;
  storages_.push_back(segment);
  return next;
}

}  // namespace weightmap::convert
