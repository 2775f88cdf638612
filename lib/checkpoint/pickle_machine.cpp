// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/pickle_machine.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace weightmap::checkpoint {
namespace {

constexpr std::uint32_t kNoList = 0xFFFFFFFFU;

// The module or the name of a class: far more than any has, and each is looked at whenever it is
// named, which takes a byte or two.
constexpr std::size_t kMostNameBytes = 1024;
constexpr std::uint64_t kMostText = 0xFFFFFFFFU;  // places in it have 32 bits

// A state dict has one value in some 12 bytes of pickle; a wrong guess costs only copies.
constexpr std::size_t kBytesPerValue = 8;
constexpr std::size_t kMostGuessedValues = std::size_t{1} << 22U;

std::uint32_t to_u32(std::size_t size) {
  return static_cast<std::uint32_t>(size);
}

// UTF-8 cannot hold half of a surrogate pair; Python writes it as if it could.
bool has_surrogate(std::string_view text) {
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    if (text[i] == '\xED' && static_cast<unsigned char>(text[i + 1]) >= 0xA0) return true;
  }
  return false;
}

bool can_be_called(PickleKind kind) {
  return kind == PickleKind::kGlobal || kind == PickleKind::kCall ||
         kind == PickleKind::kPersistent;
}

bool grows(PickleKind kind) {
  return kind == PickleKind::kList || kind == PickleKind::kSet || kind == PickleKind::kDict;
}

// REQUIRES: not empty.
bool is_negative(std::span<const std::byte> number) {
  return (number.back() & std::byte{0x80}) != std::byte{};
}

// How many of a number's bytes say what the rest of them does not.
std::size_t needed_bytes(std::span<const std::byte> number) {
  while (number.size() > 1) {
    const std::byte filler = is_negative(number) ? std::byte{0xFF} : std::byte{};
    const auto shorter = number.first(number.size() - 1);
    if (number.back() != filler || is_negative(shorter) != is_negative(number)) break;
    number = shorter;
  }
  return number.size();
}

}  // namespace

PickleMachine::PickleMachine(std::span<const std::byte> bytes, const CheckGlobal& check_global)
    : check_global_(check_global) {
  pickle_.bytes = bytes;
  const std::size_t guess = std::min(bytes.size() / kBytesPerValue, kMostGuessedValues);
  pickle_.values.reserve(guess);
  pickle_.items.reserve(guess);
  memo_.reserve(guess);
  bools_.fill(kNoValue);
  small_integers_.fill(kNoValue);
}

Pickle PickleMachine::result() && {
  const std::vector<PickleRange> places = lists_.place(pickle_.items);
  for (PickleValue& value : pickle_.values) {
    if (grows(value.kind)) value.range = places[value.slot];
  }
  for (PickleCall& call : pickle_.calls) {
    for (PickleRange* range : {&call.appended, &call.set_items}) {
      *range = range->begin == kNoList ? PickleRange{} : places[range->begin];
    }
  }
  return std::move(pickle_);
}

bool PickleMachine::has(std::size_t count) {
  if (!stack_.has(count)) corrupt("the stack has too few values");
  return !failure_;
}

bool PickleMachine::has_mark() {
  if (!stack_.has_mark()) corrupt("there is no mark");
  return !failure_;
}

void PickleMachine::check_text(std::string_view text) {
  if (is_valid_utf8(text)) return;
  if (has_surrogate(text)) {
    return fail(ErrorCode::kUnsupported, "text with half of a surrogate pair, which is no UTF-8");
  }
  corrupt("text that is not UTF-8");
}

ValueId PickleMachine::add(PickleValue value) {
  pickle_.values.push_back(value);
  return to_u32(pickle_.values.size() - 1);
}

void PickleMachine::push_shared(ValueId& made, PickleValue value) {
  if (made == kNoValue) made = add(value);
  stack_.push(made);
}

PickleRange PickleMachine::store(std::span<const ValueId> items) {
  const PickleRange range{to_u32(pickle_.items.size()), to_u32(items.size())};
  pickle_.items.insert(pickle_.items.end(), items.begin(), items.end());
  return range;
}

std::string_view PickleMachine::text(PickleRange range) const {
  return pickle_.text({.kind = PickleKind::kStr, .range = range});
}

void PickleMachine::push_bool(bool value) {
  push_shared(bools_[value ? 1 : 0], {.kind = PickleKind::kBool, .integer = value ? 1 : 0});
}

void PickleMachine::push_integer(std::int64_t value) {
  const PickleValue integer{.kind = PickleKind::kInt, .integer = value};
  if (!std::in_range<std::uint8_t>(value)) return push(integer);
  push_shared(small_integers_[static_cast<std::size_t>(value)], integer);
}

void PickleMachine::push_long(PickleRange range) {
  const auto bytes = std::as_bytes(std::span(text(range)));
  range.size = to_u32(needed_bytes(bytes));
  if (range.size > sizeof(std::int64_t)) return push({.kind = PickleKind::kBigInt, .range = range});
  std::int64_t value = range.size > 0 && is_negative(bytes.first(range.size)) ? -1 : 0;
  if (range.size > 0) std::memcpy(&value, bytes.data(), range.size);
  push_integer(value);
}

void PickleMachine::push_text(PickleRange range) {
  push({.kind = PickleKind::kStr, .range = range});
  check_text(text(range));
}

void PickleMachine::push_python2_text(PickleRange range) {
  push(
      {.kind = is_valid_utf8(text(range)) ? PickleKind::kStr : PickleKind::kBytes, .range = range});
}

// Names refer to the text, so it never moves: with room for the most that the lines of protocol 0
// can become, two bytes each.
PickleRange PickleMachine::store_text(std::string_view text) {
  std::vector<char>& decoded = pickle_.decoded;
  if (decoded.capacity() == 0) decoded.reserve(2 * pickle_.bytes.size());
  const std::uint64_t begin = std::uint64_t{pickle_.bytes.size()} + decoded.size();
  if (begin + text.size() > kMostText) {
    fail(ErrorCode::kUnsupported, "more than ", kMostText, " bytes of text");
    return {};
  }
  decoded.insert(decoded.end(), text.begin(), text.end());
  return {static_cast<std::uint32_t>(begin), to_u32(text.size())};
}

ValueId PickleMachine::add_tuple(std::span<const ValueId> items) {
  return add({.kind = PickleKind::kTuple, .range = store(items)});
}

void PickleMachine::make_tuple(std::size_t count) {
  if (!has(count)) return;
  const ValueId tuple = add_tuple(stack_.last(count));
  stack_.drop(count);
  stack_.push(tuple);
}

void PickleMachine::make_from_mark(PickleKind kind) {
  if (!has_mark()) return;
  const PickleRange range = store(stack_.above_mark());
  stack_.drop_to_mark();
  push({.kind = kind, .range = range});
}

void PickleMachine::make_growing_from_mark(PickleKind kind) {
  if (!has_mark()) return;
  const auto above = stack_.above_mark();
  const std::vector<ValueId> items(above.begin(), above.end());
  stack_.drop_to_mark();
  push_empty(kind);
  for (const ValueId item : items)
    stack_.push(item);
  extend(kind, items.size());
}

void PickleMachine::extend_from_mark(PickleKind kind) {
  if (!has_mark()) return;
  const std::size_t count = stack_.count_above_mark();
  stack_.forget_mark();
  extend(kind, count);
}

void PickleMachine::extend(PickleKind kind, std::size_t count) {
  if (!has(count + 1)) return;
  if (kind == PickleKind::kDict && count % 2 != 0) {
    return corrupt("an odd number of keys and values, ", count);
  }
  const auto list = list_of(stack_.last(count + 1).front(), kind);
  if (!list) return corrupt("the value below cannot take such items");
  lists_.add(*list, stack_.last(count));
  stack_.drop(count);
}

// The list of a container of that kind, or of what a call returned.
std::optional<std::uint32_t> PickleMachine::list_of(ValueId container, PickleKind kind) {
  const PickleValue& value = at(container);
  if (value.kind == kind) return value.slot;
  if (value.kind != PickleKind::kCall) return std::nullopt;
  PickleCall& call = pickle_.calls[value.slot];
  PickleRange& list = kind == PickleKind::kDict ? call.set_items : call.appended;
  if (list.begin == kNoList) list.begin = lists_.make();
  return list.begin;
}

void PickleMachine::mark() {
  if (stack_.mark_count() == PickleLimits::kMaxDepth) {
    return fail(ErrorCode::kUnsupported, "more than ", PickleLimits::kMaxDepth, " open marks");
  }
  stack_.mark();
}

// With nothing above the mark, it is the mark that goes.
void PickleMachine::pop() {
  if (stack_.has(1)) {
    stack_.drop(1);
  } else if (has_mark()) {
    stack_.forget_mark();
  }
}

void PickleMachine::pop_to_mark() {
  if (has_mark()) stack_.drop_to_mark();
}

void PickleMachine::duplicate() {
  if (has(1)) stack_.push(stack_.top());
}

void PickleMachine::finish() {
  if (has(1)) pickle_.root = stack_.top();
}

void PickleMachine::push_global(GlobalName global) {
  for (const std::string_view part : {global.module, global.name}) {
    if (part.size() > kMostNameBytes) {
      return fail(ErrorCode::kUnsupported, "a name of ", part.size(), " bytes, at most ",
                  kMostNameBytes);
    }
    check_text(part);
    if (part.empty() || part.find('\n') != std::string_view::npos) {
      corrupt(quoted(part), " is no name of a class");
    }
  }
  if (failure_) return;
  if (const auto checked = check_global_ ? check_global_(global) : Result<void>(); !checked) {
    return fail(checked.error().code(), checked.error().message());
  }
  push({.kind = PickleKind::kGlobal, .slot = to_u32(pickle_.globals.size())});
  pickle_.globals.push_back(global);
}

void PickleMachine::push_global_of_stack() {
  if (!has(2)) return;
  const PickleValue name = at(stack_.pop());
  const PickleValue module = at(stack_.pop());
  if (name.kind != PickleKind::kStr || module.kind != PickleKind::kStr) {
    return corrupt("the name of a class is not text");
  }
  push_global({text(module.range), text(name.range)});
}

void PickleMachine::push_call(PickleCall call) {
  if (!can_be_called(at(call.callable).kind)) return corrupt("calls what is not a class");
  if (at(call.arguments).kind != PickleKind::kTuple) return corrupt("the arguments are no tuple");
  call.appended.begin = kNoList;
  call.set_items.begin = kNoList;
  push({.kind = PickleKind::kCall, .slot = to_u32(pickle_.calls.size())});
  pickle_.calls.push_back(call);
}

void PickleMachine::call() {
  if (!has(2)) return;
  const ValueId arguments = stack_.pop();
  push_call({.callable = stack_.pop(), .arguments = arguments});
}

void PickleMachine::call_with_keywords() {
  if (!has(3)) return;
  const ValueId keywords = stack_.pop();
  const ValueId arguments = stack_.pop();
  if (at(keywords).kind != PickleKind::kDict) return corrupt("keyword arguments are not a dict");
  push_call({.callable = stack_.pop(), .arguments = arguments, .keyword_arguments = keywords});
}

// The class is the first value above the mark.
void PickleMachine::call_from_mark() {
  if (!has_mark()) return;
  if (!has(1)) return;
  const ValueId callable = stack_.above_mark().front();
  const ValueId arguments = add_tuple(stack_.above_mark().subspan(1));
  stack_.drop_to_mark();
  push_call({.callable = callable, .arguments = arguments});
}

void PickleMachine::call_from_mark(GlobalName global) {
  if (!has_mark()) return;
  const ValueId arguments = add_tuple(stack_.above_mark());
  stack_.drop_to_mark();
  push_global(global);
  if (failure_) return;
  push_call({.callable = stack_.pop(), .arguments = arguments});
}

void PickleMachine::build() {
  if (!has(2)) return;
  const ValueId state = stack_.pop();
  const PickleValue& target = at(stack_.top());
  if (target.kind != PickleKind::kCall) return corrupt("state for what is not an object");
  PickleCall& object = pickle_.calls[target.slot];
  if (object.state != kNoValue) {
    return fail(ErrorCode::kUnsupported, "a second state for one object");
  }
  object.state = state;
}

void PickleMachine::push_persistent() {
  if (!has(1)) return;
  const ValueId id = stack_.pop();
  const ValueId named = class_of_id(id);
  if (named != kNoValue) return stack_.push(named);
  push({.kind = PickleKind::kPersistent, .slot = id});
}

// ('module', class, source file, source), or without the first: in the formats before 1.6.
ValueId PickleMachine::class_of_id(ValueId id) const {
  const PickleValue& tuple = at(id);
  if (tuple.kind != PickleKind::kTuple) return kNoValue;
  const auto parts = pickle_.items_of(tuple);
  const auto is_class = [&](std::size_t i) { return at(parts[i]).kind == PickleKind::kGlobal; };
  if (parts.size() == 3 && is_class(0)) return parts[0];
  const bool is_module = parts.size() == 4 && is_class(1) &&
                         at(parts[0]).kind == PickleKind::kStr &&
                         pickle_.text(at(parts[0])) == "module";
  return is_module ? parts[1] : kNoValue;
}

void PickleMachine::remember(std::uint32_t number) {
  if (!has(1)) return;
  if (number > pickle_.bytes.size()) {
    return corrupt("memo number ", number, " in a pickle of ", pickle_.bytes.size(), " bytes");
  }
  memo_.set(number, stack_.top());
}

void PickleMachine::recall(std::uint32_t number) {
  const ValueId id = memo_.get(number);
  if (id == kNoValue) return corrupt("memo number ", number, " was never set");
  stack_.push(id);
}

}  // namespace weightmap::checkpoint
