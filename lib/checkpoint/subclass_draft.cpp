// SPDX-License-Identifier: Apache-2.0
// torch/_tensor.py and torch/_utils.py of 1.13 to 2.13.
#include "checkpoint/subclass_draft.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "checkpoint/call_reader.h"
#include "checkpoint/jagged.h"

namespace weightmap::checkpoint {
namespace {

constexpr auto kStridedFunctions = std::to_array<std::string_view>({
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_meta_tensor_no_storage",
});

std::optional<GlobalName> name_of(const Pickle& pickle, ValueId id) {
  const PickleValue& value = pickle.values[id];
  if (value.kind != PickleKind::kGlobal) return std::nullopt;
  return modern_name(pickle.globals[value.slot]);
}

bool is_from_type(const Pickle& pickle, const PickleCall& call) {
  const auto name = name_of(pickle, call.callable);
  const bool is_changed = call.keyword_arguments != kNoValue || call.state != kNoValue ||
                          call.appended.size != 0 || call.set_items.size != 0;
  return name && name->module == "torch._tensor" && !is_changed &&
         (name->name == "_rebuild_from_type" || name->name == "_rebuild_from_type_v2");
}

// The first argument of a call of `function`, a text: torch.device('cpu') ...
std::string_view text_argument(CallReader& from, const GlobalName& function) {
  const PickleValue& made = from.next("a call");
  if (made.kind != PickleKind::kCall) return {};
  const PickleCall& call = from.pickle().calls[made.slot];
  const auto arguments = from.pickle().items_of(from.value(call.arguments));
  if (name_of(from.pickle(), call.callable) != function || arguments.empty()) return {};
  const PickleValue& text = from.value(arguments[0]);
  return text.kind == PickleKind::kStr ? from.pickle().text(text) : std::string_view();
}

}  // namespace

bool SubclassCall::is_strided() const {
  return function.module == "torch._utils" &&
         std::ranges::find(kStridedFunctions, function.name) != kStridedFunctions.end();
}

bool SubclassCall::is_wrapper() const {
  return function == GlobalName{"torch._utils", "_rebuild_wrapper_subclass"};
}

// The older versions call the class itself, which tells less than its state.
bool SubclassCall::is_jagged() const {
  return type == kJaggedClass && (function == kRebuildJagged || function == kJaggedClass);
}

std::optional<SubclassCall> subclass_call(const Pickle& pickle, const PickleCall& call) {
  if (!is_from_type(pickle, call)) return std::nullopt;
  const auto parts = pickle.items_of(pickle.values[call.arguments]);
  if (parts.size() != 4) return std::nullopt;
  const auto function = name_of(pickle, parts[0]);
  const auto type = name_of(pickle, parts[1]);
  const PickleValue& arguments = pickle.values[parts[2]];
  // A class inside of another has no name of one form.
  const bool is_named = function && type && type->name.find('.') == std::string_view::npos;
  if (!is_named || arguments.kind != PickleKind::kTuple) return std::nullopt;
  return SubclassCall{.function = *function,
                      .type = *type,
                      .arguments = pickle.items_of(arguments),
                      .type_value = parts[1],
                      .state = parts[3]};
}

// (class, dtype, shape, strides, offset, layout, device, requires_grad)
std::optional<WrapperDraft> read_wrapper(const Pickle& pickle, const SubclassCall& call) {
  if (!call.is_wrapper()) return std::nullopt;
  CallReader from(pickle);
  from.set_call({call.function, call.arguments});
  WrapperDraft draft;
  const GlobalName type = from.global("the class");
  draft.dtype = from.dtype();
  draft.shape = from.sizes("the shape");
  draft.strides = from.sizes("the strides");
  draft.offset = from.integer("the storage offset");
  const auto layout = text_argument(from, {"torch.serialization", "_get_layout"});
  const auto device = text_argument(from, {"torch", "device"});
  draft.requires_grad = from.boolean("requires_grad");
  const bool is_sayable = type == call.type && draft.shape.size() == draft.strides.size() &&
                          layout == "torch.strided" && !device.empty() && device != "meta";
  if (from.has_failed() || from.has_next() || !is_sayable) return std::nullopt;
  return draft;
}

}  // namespace weightmap::checkpoint
