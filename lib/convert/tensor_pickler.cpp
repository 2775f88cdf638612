// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_tensor.py, torch/nn/parameter.py and
// torch/serialization.py of 2.13.
#include "convert/tensor_pickler.h"

#include <utility>

#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/globals.h"
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

}  // namespace

TensorPickler::TensorPickler(const WeightFile& file, PickleWriter& into)
    : file_(file),
      out_(into),
      is_mixed_(mixed_segments(file)),
      numbers_(file.segment_count(), kUnnumbered) {}

Result<void> TensorPickler::write(std::uint32_t number) {
  const TensorView tensor = file_.tensor(number);
  if (tensor.is_uninitialized()) {
    uninitialized(tensor);
    return {};
  }
  Result<void> begun = begin(rebuild_of(number), false);
  if (begun) end(tensor.is_parameter(), false);
  return begun;
}

Rebuild TensorPickler::rebuild_of(std::uint32_t number) {
  const TensorView tensor = file_.tensor(number);
  return {
      .function = [this, number] { function(number); },
      .arguments = [this, number](bool requires_grad) { return arguments(number, requires_grad); },
      .is_parameter = tensor.is_parameter(),
      .requires_grad = tensor.requires_grad()};
}

// _rebuild_parameter(data, requires_grad, hooks), _rebuild_parameter_with_state(..., state), or
// _rebuild_from_type_v2(function, type, arguments, state).
Result<void> TensorPickler::begin(const Rebuild& object, bool with_attributes) {
  if (object.is_of_subclass()) return begin_of_subclass(object);
  if (object.is_parameter) {
    out_.global(kUtilities,
                with_attributes ? "_rebuild_parameter_with_state" : "_rebuild_parameter");
    out_.mark();
  } else if (with_attributes) {
    out_.global("torch._tensor", "_rebuild_from_type_v2");
    out_.mark();
  }
  object.function();
  if (!object.is_parameter && with_attributes) out_.global("torch", "Tensor");
  Result<void> done = object.arguments(object.requires_grad && !object.is_parameter);
  if (!done || !object.is_parameter) return done;
  out_.reduce();
  out_.boolean(object.requires_grad);
  hooks();
  return {};
}

Result<void> TensorPickler::begin_of_subclass(const Rebuild& object) {
  out_.global("torch._tensor", "_rebuild_from_type_v2");
  out_.mark();
  object.function();
  Result<void> named = global(object.class_name);
  return named ? object.arguments(object.requires_grad) : named;
}

void TensorPickler::end(bool is_parameter, bool with_attributes) {
  if (is_parameter || with_attributes) out_.tuple();
  out_.reduce();
}

void TensorPickler::function(std::uint32_t number) {
  if (file_.tensor(number).is_meta()) {
    return out_.global(kUtilities, "_rebuild_meta_tensor_no_storage");
  }
  out_.global(kUtilities, is_typed(number) ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
}

Result<void> TensorPickler::arguments(std::uint32_t number, bool requires_grad) {
  const TensorView tensor = file_.tensor(number);
  if (tensor.is_meta()) {
    meta_arguments(tensor, requires_grad);
    return {};
  }
  out_.mark();
  Result<void> placed = place(number);
  if (!placed) return placed;
  out_.boolean(requires_grad);
  hooks();
  if (!is_typed(number)) out_.global("torch", dtype_name(tensor.dtype()));
  lazy_bits(tensor);
  out_.tuple();
  return {};
}

Result<void> TensorPickler::global(std::string_view text) {
  const std::size_t newline = text.find('\n');
  const std::size_t split = newline == std::string_view::npos ? text.rfind('.') : newline;
  if (split == std::string_view::npos) {
    return Error(ErrorCode::kUnsupported, concat(quoted(text), " names no module"));
  }
  const checkpoint::GlobalName name{text.substr(0, split), text.substr(split + 1)};
  Result<void> harmless = checkpoint::check_global(name, false);
  if (!harmless) return harmless;
  out_.global(name.module, name.name);
  return {};
}

Result<void> TensorPickler::place(std::uint32_t number) {
  const TensorView tensor = file_.tensor(number);
  const TensorPlace place = file_.place(number);
  const std::uint64_t begin = place.segment ? file_.segment(*place.segment).offset_bytes : 0;
  const std::uint64_t offset_bits = place.segment ? (place.offset_bytes - begin) * 8 : 0;
  const std::uint64_t element_bits = dtype_info(tensor.dtype()).element_bits;
  if (offset_bits % element_bits != 0) {
    return Error(
        ErrorCode::kUnsupported,
        concat(quoted(tensor.name()), ": begins at bit ", offset_bits,
               " of its storage, which is no multiple of its elements of ", element_bits, " bits"));
  }
  storage(number);
  out_.integer(static_cast<std::int64_t>(offset_bits / element_bits));
  out_.integers(tensor.shape());
  out_.integers(tensor.strides());
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
void TensorPickler::storage(std::uint32_t number) {
  const Dtype dtype = file_.tensor(number).dtype();
  const auto segment = file_.place(number).segment;
  const std::uint64_t size_bytes = segment ? file_.segment(*segment).size_bytes : 0;
  const bool typed = is_typed(number);
  out_.mark();
  out_.remembered_text("storage");
  if (typed) {
    out_.global("torch", *checkpoint::storage_class_of(dtype));
  } else {
    out_.global("torch.storage", "UntypedStorage");
  }
  out_.text(concat(storage_of(segment)));
  out_.remembered_text("cpu");
  out_.integer(static_cast<std::int64_t>(size_bytes / (typed ? addressed_bytes(dtype) : 1)));
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

bool TensorPickler::is_typed(std::uint32_t number) const {
  const Dtype dtype = file_.tensor(number).dtype();
  if (!checkpoint::storage_class_of(dtype)) return false;
  const auto segment = file_.place(number).segment;
  if (!segment) return true;
  return !is_mixed_[*segment] && file_.segment(*segment).size_bytes % addressed_bytes(dtype) == 0;
}

std::uint32_t TensorPickler::storage_of(std::optional<std::uint32_t> segment) {
  const auto next = static_cast<std::uint32_t>(storages_.size());
  if (segment && numbers_[*segment] != kUnnumbered) return numbers_[*segment];
  if (segment) numbers_[*segment] = next;
  storages_.push_back(segment);
  return next;
}

}  // namespace weightmap::convert
