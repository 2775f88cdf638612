// SPDX-License-Identifier: Apache-2.0
// The functions and the order of their arguments: torch/_tensor.py of 2.13. Kinds and roles:
// FORMAT.md 3.
#include "convert/composite_pickler.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.h"

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
  return {.function = [this,
                       kind = composite.kind()] { out_.global("torch._utils", function_of(kind)); },
          .arguments =
              [this, number](bool requires_grad) {
                return arguments(file_.composite(number), requires_grad);
              },
          .is_parameter = composite.is_parameter(),
          .requires_grad = composite.requires_grad()};
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
    case CompositeKind::kWrapperSubclass:
      return unsupported(composite, concat("of the class ", quoted(composite.class_name()),
                                           ", which is not written into a pickle"));
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

// (layout, (indices ..., values, shape[, is_coalesced]))
Result<void> CompositePickler::sparse(const CompositeView& composite) {
  out_.global("torch.serialization", "_get_layout");
  out_.text(concat("torch.", composite_kind_name(composite.kind())));
  out_.tuple_of_1();
  out_.reduce();
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
