// SPDX-License-Identifier: Apache-2.0
// torch/_tensor.py and torch/_utils.py of 1.6 to 2.13.
#include "checkpoint/composite_draft.h"

#include <algorithm>
#include <array>

namespace weightmap::checkpoint {
namespace {

struct Layout {
  std::string_view name;
  std::int64_t number;  // c10::Layout
  CompositeKind kind;
  std::array<std::string_view, 2> indices;  // in the order of the arguments; the values follow
};

constexpr auto kLayouts = std::to_array<Layout>({
    {"torch.sparse_coo", 1, CompositeKind::kSparseCoo, {"indices", ""}},
    {"torch.sparse_csr", 2, CompositeKind::kSparseCsr, {"crow_indices", "col_indices"}},
    {"torch.sparse_csc", 4, CompositeKind::kSparseCsc, {"ccol_indices", "row_indices"}},
    {"torch.sparse_bsr", 5, CompositeKind::kSparseBsr, {"crow_indices", "col_indices"}},
    {"torch.sparse_bsc", 6, CompositeKind::kSparseBsc, {"ccol_indices", "row_indices"}},
});

void add_part(CallReader& from, std::string_view role, CompositeDraft& draft) {
  draft.parts.push_back({role, from.next_id(concat("the part ", quoted(role)))});
}

// `torch.serialization._get_layout('torch.sparse_coo')`
const Layout* read_layout(CallReader& from) {
  const PickleValue& value = from.next("the layout");
  std::string_view name;
  if (value.kind == PickleKind::kCall) {
    const auto arguments =
        from.pickle().items_of(from.value(from.pickle().calls[value.slot].arguments));
    const bool has_name =
        arguments.size() == 1 && from.value(arguments[0]).kind == PickleKind::kStr;
    if (has_name) name = from.pickle().text(from.value(arguments[0]));
  }
  const auto* found = std::ranges::find(kLayouts, name, &Layout::name);
  if (found != kLayouts.end()) return found;
  from.fail(ErrorCode::kUnsupported, concat("the layout ", quoted(name), ", which is not known"));
  return nullptr;
}

const Layout* read_layout_number(CallReader& from) {
  const std::int64_t number = from.integer("the layout");
  const auto* found = std::ranges::find(kLayouts, number, &Layout::number);
  if (found != kLayouts.end()) return found;
  from.fail(ErrorCode::kUnsupported, concat("the layout ", number, ", which is not known"));
  return nullptr;
}

void add_sparse_parts(CallReader& from, const Layout& layout, CompositeDraft& draft) {
  draft.kind = layout.kind;
  for (const std::string_view role : layout.indices) {
    if (!role.empty()) add_part(from, role, draft);
  }
  add_part(from, "values", draft);
}

void no_more(CallReader& from) {
  if (from.has_next()) from.fail(ErrorCode::kUnsupported, "has more to it than is known");
}

}  // namespace

CompositeDraft read_quantizer(CallReader& from) {
  CompositeDraft draft;
  const auto parameters = from.tuple("the quantizer");
  const CallReader::Call outer = from.call();
  from.set_call({outer.function, parameters});
  const GlobalName scheme = from.global("the scheme");
  if (scheme == GlobalName{"torch", "per_tensor_affine"}) {
    draft.reals.push_back(from.real("the scale"));
    draft.integers.push_back(from.integer("the zero point"));
  } else if (scheme == GlobalName{"torch", "per_channel_affine"} ||
             scheme == GlobalName{"torch", "per_channel_affine_float_qparams"}) {
    draft.kind = CompositeKind::kQuantizedPerChannel;
    add_part(from, "scales", draft);
    add_part(from, "zero_points", draft);
    draft.integers.push_back(from.integer("the axis"));
  } else {
    from.fail(ErrorCode::kUnsupported,
              concat("the scheme ", quoted(global_text(scheme)), ", which is not known"));
  }
  no_more(from);
  from.set_call(outer);
  return draft;
}

CompositeDraft read_sparse(CallReader& from, std::span<const ValueId>& shape) {
  CompositeDraft draft;
  const Layout* layout = read_layout(from);
  const auto data = from.tuple("the data");
  if (from.has_failed()) return draft;
  const CallReader::Call outer = from.call();
  from.set_call({outer.function, data});
  add_sparse_parts(from, *layout, draft);
  shape = from.sizes("the shape");
  // Since 2.1.
  const bool tells_coalesced = draft.kind == CompositeKind::kSparseCoo && from.has_next();
  if (tells_coalesced && from.value(from.call().arguments[0]).kind != PickleKind::kNone) {
    draft.integers.push_back(from.boolean("is_coalesced") ? 1 : 0);
  } else if (tells_coalesced) {
    from.next("is_coalesced");
  }
  no_more(from);
  from.set_call(outer);
  return draft;
}

bool is_script_sparse(const CallReader& from) {
  return from.has_next() && from.value(from.call().arguments[0]).kind == PickleKind::kInt;
}

// torch/csrc/jit/serialization/pickler.cpp of 1.10 to 2.13.
CompositeDraft read_script_sparse(CallReader& from,
                                  std::span<const ValueId>& shape,
                                  bool& requires_grad) {
  CompositeDraft draft;
  const Layout* layout = read_layout_number(from);
  if (layout == nullptr) return draft;
  shape = from.sizes("the shape");
  requires_grad = from.boolean("requires_grad");
  add_sparse_parts(from, *layout, draft);
  from.no_hooks();
  return draft;
}

CompositeDraft read_nested(CallReader& from) {
  CompositeDraft draft{.kind = CompositeKind::kNested};
  for (const std::string_view role : {"values", "sizes", "strides", "offsets"})
    add_part(from, role, draft);
  return draft;
}

}  // namespace weightmap::checkpoint
