// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/call_reader.h"

namespace weightmap::checkpoint {

void CallReader::fail(ErrorCode code, std::string_view message) {
  if (failure_) return;
  failure_ = Error(code, concat(quoted(global_text(call_.function)), ": ", message));
}

void CallReader::fail(const Error& error) {
  if (!failure_) failure_ = error;
}

ValueId CallReader::next_id(std::string_view what) {
  if (failure_) return kNoValue;
  if (!has_next()) {
    fail(ErrorCode::kCorrupt, concat(what, " is missing"));
    return kNoValue;
  }
  const ValueId id = call_.arguments.front();
  call_.arguments = call_.arguments.subspan(1);
  return id;
}

const PickleValue& CallReader::next(std::string_view what) {
  static const PickleValue missing{};
  const ValueId id = next_id(what);
  return id == kNoValue ? missing : value(id);
}

bool CallReader::boolean(std::string_view what) {
  const PickleValue& found = next(what);
  if (found.kind != PickleKind::kBool) wrong(what, "True or False");
  return !failure_ && found.integer != 0;
}

std::int64_t CallReader::integer(std::string_view what) {
  const PickleValue& found = next(what);
  if (found.kind != PickleKind::kInt) wrong(what, "an integer of 64 bits");
  return failure_ ? 0 : found.integer;
}

double CallReader::real(std::string_view what) {
  const PickleValue& found = next(what);
  if (found.kind != PickleKind::kFloat) wrong(what, "a float");
  return failure_ ? 0 : found.real;
}

std::span<const ValueId> CallReader::tuple(std::string_view what) {
  const PickleValue& found = next(what);
  if (found.kind != PickleKind::kTuple) wrong(what, "a tuple");
  return failure_ ? std::span<const ValueId>() : pickle_.items_of(found);
}

std::span<const ValueId> CallReader::sizes(std::string_view what) {
  const PickleValue* found = &next(what);
  if (found->kind == PickleKind::kCall) {
    const PickleCall& call = pickle_.calls[found->slot];
    const PickleValue& callable = value(call.callable);
    const auto arguments = pickle_.items_of(value(call.arguments));
    const bool is_size = callable.kind == PickleKind::kGlobal && arguments.size() == 1 &&
                         pickle_.globals[callable.slot] == GlobalName{"torch", "Size"};
    if (is_size) found = &value(arguments[0]);
  }
  const bool is_sequence = found->kind == PickleKind::kTuple || found->kind == PickleKind::kList;
  if (!is_sequence) wrong(what, "a tuple");
  return is_sequence ? pickle_.items_of(*found) : std::span<const ValueId>();
}

GlobalName CallReader::global(std::string_view what) {
  const PickleValue& found = next(what);
  if (found.kind != PickleKind::kGlobal) wrong(what, "the name of a class or function");
  return failure_ ? GlobalName() : modern_name(pickle_.globals[found.slot]);
}

Dtype CallReader::dtype() {
  const GlobalName name = global("the dtype");
  const auto found = name.module == "torch" ? dtype_from_name(name.name) : std::nullopt;
  if (!failure_ && !found) {
    fail(ErrorCode::kUnsupported,
         concat("the dtype ", quoted(global_text(name)), ", which is not known"));
  }
  return found.value_or(Dtype::kUInt8);
}

// torch.save has written an empty dict here ever since tensors can have hooks.
void CallReader::no_hooks() {
  const PickleValue& hooks = next("the hooks");
  if (!failure_ && !is_empty(hooks)) fail(ErrorCode::kUnsupported, "a tensor with backward hooks");
}

bool CallReader::is_empty(const PickleValue& of) const {
  if (of.kind == PickleKind::kNone) return true;
  if (of.kind == PickleKind::kDict) return of.range.size == 0;
  if (of.kind != PickleKind::kCall) return false;
  const PickleCall& call = pickle_.calls[of.slot];
  return call.set_items.size == 0 && call.appended.size == 0 && call.state == kNoValue &&
         value(call.arguments).range.size == 0;
}

}  // namespace weightmap::checkpoint
