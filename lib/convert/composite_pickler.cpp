// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_tensor.py of 2.13. Kinds and roles:
// FORMAT.md 3.
#include "convert/composite_pickler.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "checkpoint/jagged.h"
#include "convert/export_selection.h"

namespace weightmap::convert {
namespace {

Error unsupported(const CompositeView& composite, std::string_view what) {
  return {ErrorCode::kUnsupported, concat(quoted(composite.name()), ": a ",
                                          composite_kind_name(composite.kind()), " tensor ", what)};
}

std::string_view function_of(CompositeKind kind) {
  switch (kind) {
    case CompositeKind::kQuantizedPerTensor:
    case CompositeKind::kQuantizedPerChannel:
    case CompositeKind::kQuantizedPerChannelFloat: return "_rebuild_qtensor";
    case CompositeKind::kNested: return "_rebuild_nested_tensor";
    default: return "_rebuild_sparse_tensor";
  }
}

std::vector<std::string_view> roles_of(CompositeKind kind) {
  if (kind == CompositeKind::kSparseCoo) return {"indices", "values"};
  const bool by_rows = kind == CompositeKind::kSparseCsr || kind == CompositeKind::kSparseBsr;
  if (by_rows) return {"crow_indices", "col_indices", "values"};
  return {"ccol_indices", "row_indices", "values"};
}

}  // namespace

Rebuild CompositePickler::rebuild_of(std::uint32_t number) {
  const CompositeView composite = file_.composite(number);
  if (composite.kind() == CompositeKind::kWrapperSubclass) return rebuild_of_subclass(number);
  return {.function = [this,
                       kind = composite.kind()] { out_.global("torch._utils", function_of(kind)); },
          .arguments =
              [this, number](bool requires_grad) {
                return arguments(file_.composite(number), requires_grad);
              },
          .is_parameter = composite.is_parameter(),
          .requires_grad = composite.requires_grad()};
}

// The class makes of its own attributes whether it is a parameter.
Rebuild CompositePickler::rebuild_of_subclass(std::uint32_t number) {
  const CompositeView composite = file_.composite(number);
  Rebuild rebuild;
  if (composite.integers().empty()) {
    const auto values = std::ranges::find(composite.parts(), "values", &CompositePart::role);
    rebuild = tensors_.rebuild_of(values->number);
  } else if (is_jagged(composite)) {
    rebuild.function = [this] {
      out_.global(checkpoint::kRebuildJagged.module, checkpoint::kRebuildJagged.name);
    };
    rebuild.arguments = [this, dimension = composite.integers()[0]](bool requires_grad) {
      begin_jagged(dimension, requires_grad);
      return Result<void>();
    };
  } else {
    rebuild.function = [this] { out_.global("torch._utils", "_rebuild_wrapper_subclass"); };
    rebuild.arguments = [this, number](bool requires_grad) {
      return arguments(file_.composite(number), requires_grad);
    };
  }
  rebuild.is_parameter = false;
  rebuild.requires_grad = composite.requires_grad();
  rebuild.class_name = composite.class_name();
  return rebuild;
}

Result<void> CompositePickler::arguments(const CompositeView& composite, bool requires_grad) {
  out_.mark();
  Result<void> done;
  switch (composite.kind()) {
    case CompositeKind::kQuantizedPerTensor:
    case CompositeKind::kQuantizedPerChannel:
    case CompositeKind::kQuantizedPerChannelFloat:
      done = quantized(composite, requires_grad);
      break;
    case CompositeKind::kNested:
      for (const std::string_view role : {"values", "sizes", "strides", "offsets"})
        if (done) done = part(composite, role);
      break;
    case CompositeKind::kWrapperSubclass: done = wrapper(composite, requires_grad); break;
    default: done = sparse(composite); break;
  }
  out_.tuple();
  return done;
}

// (storage, offset, shape, strides, (scheme, scale ...), requires_grad, hooks). PyTorch calls both
// schemes per channel by one name.
Result<void> CompositePickler::quantized(const CompositeView& composite, bool requires_grad) {
  const auto values = std::ranges::find(composite.parts(), "values", &CompositePart::role);
  const bool per_tensor = composite.kind() == CompositeKind::kQuantizedPerTensor;
  if (values == composite.parts().end() || composite.integers().empty() ||
      (per_tensor && composite.reals().empty())) {
    return unsupported(composite, "without what makes it");
  }
  if (!tensors_.is_typed(values->number)) {
    return unsupported(composite, "that shares its storage with tensors of other dtypes");
  }
  Result<void> done = tensors_.place(values->number);
  out_.mark();
  out_.global("torch", per_tensor ? "per_tensor_affine" : "per_channel_affine");
  if (per_tensor) {
    out_.real(composite.reals()[0]);
  } else {
    if (done) done = part(composite, "scales");
    if (done) done = part(composite, "zero_points");
  }
  out_.integer(composite.integers()[0]);
  out_.tuple();
  out_.boolean(requires_grad);
  tensors_.hooks();
  return done;
}

void CompositePickler::begin_jagged(std::int64_t ragged_dimension, bool requires_grad) {
  out_.empty_dict();
  out_.mark();
  out_.text(checkpoint::kRaggedDimension);
  out_.integer(ragged_dimension);
  out_.text("requires_grad");
  out_.boolean(requires_grad);
}

void CompositePickler::end_jagged() {
  out_.set_items();
  out_.tuple_of_1();
}

// (class, dtype, shape, strides, offset, layout, device, requires_grad)
Result<void> CompositePickler::wrapper(const CompositeView& composite, bool requires_grad) {
  const std::size_t rank = composite.shape().size();
  if (composite.integers().size() != rank + 1) return unsupported(composite, "without its strides");
  Result<void> named = tensors_.global(composite.class_name());
  if (!named) return named;
  out_.global("torch", dtype_name(composite.dtype()));
  out_.integers(composite.shape());
  out_.integers(composite.integers().first(rank));
  out_.integer(composite.integers().back());
  layout("torch.strided");
  out_.global("torch", "device");
  out_.text("cpu");
  out_.tuple_of_1();
  out_.reduce();
  out_.boolean(requires_grad);
  return {};
}

void CompositePickler::layout(std::string_view name) {
  out_.global("torch.serialization", "_get_layout");
  out_.text(name);
  out_.tuple_of_1();
  out_.reduce();
}

// (layout, (indices ..., values, shape[, is_coalesced]))
Result<void> CompositePickler::sparse(const CompositeView& composite) {
  layout(concat("torch.", composite_kind_name(composite.kind())));
  out_.mark();
  for (const std::string_view role : roles_of(composite.kind())) {
    Result<void> done = part(composite, role);
    if (!done) return done;
  }
  out_.global("torch", "Size");
  out_.integers(composite.shape());
  out_.tuple_of_1();
  out_.reduce();
  if (composite.kind() == CompositeKind::kSparseCoo && !composite.integers().empty()) {
    out_.boolean(composite.integers()[0] != 0);
  }
  out_.tuple();
  return {};
}

Result<void> CompositePickler::part(const CompositeView& composite, std::string_view role) {
  const auto found = std::ranges::find(composite.parts(), role, &CompositePart::role);
  if (found == composite.parts().end()) {
    return unsupported(composite, concat("without its ", role));
  }
  return tensors_.write(found->number);
}

}  // namespace weightmap::convert
