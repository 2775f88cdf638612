// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/text.h"
#include "checkpoint/growing_lists.h"
#include "checkpoint/pickle.h"
#include "checkpoint/pickle_stack.h"

namespace weightmap::checkpoint {

// What the opcodes of a pickle do to its stack, its memo and its values. The machine remembers its
// first failure; what is asked of it after one is not done, or has no effect that is looked at.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const CheckGlobal& check_global);

  // Without a value: goes on.
  const std::optional<Error>& failure() const { return failure_; }

  // REQUIRES: no failure, and finish() was called.
  Pickle result() &&;

  // Values. Ranges are parts of the bytes.
  void push_none() { push_shared(none_, {.kind = PickleKind::kNone}); }
  void push_bool(bool value);
  void push_integer(std::int64_t value);
  void push_long(PickleRange range);  // little-endian two's complement, as long as the writer liked
  void push_real(double value) { push({.kind = PickleKind::kFloat, .real = value}); }
  void push_text(PickleRange range);
  void push_python2_text(PickleRange range);
  PickleRange store_text(std::string_view text);  // of what does not stand in the bytes
  void push_bytes(PickleKind kind, PickleRange range) { push({.kind = kind, .range = range}); }

  // Containers. The kinds are kList, kSet or kDict; each is also what a call returned.
  void push_empty_tuple() { push_shared(empty_tuple_, {.kind = PickleKind::kTuple, .range = {}}); }
  void push_empty(PickleKind kind) { push({.kind = kind, .slot = lists_.make()}); }
  void make_tuple(std::size_t count);
  void make_from_mark(PickleKind kind);
  void make_growing_from_mark(PickleKind kind);
  void extend(PickleKind kind, std::size_t count);
  void extend_from_mark(PickleKind kind);

  // The stack.
  void mark();
  void pop();
  void pop_to_mark();
  void duplicate();
  void finish();

  // Classes, calls, persistent ids.
  void push_global(GlobalName global);
  void push_global_of_stack();
  void call();
  void call_with_keywords();
  void call_from_mark();
  void call_from_mark(GlobalName global);
  void build();
  void push_persistent();

  // The memo.
  void remember(std::uint32_t number);
  void remember_next() { remember(memo_.count()); }
  void recall(std::uint32_t number);

  template <typename... Pieces>
  void fail(ErrorCode code, const Pieces&... pieces) {
    if (!failure_) failure_ = Error(code, concat(pieces...));
  }

 private:
  template <typename... Pieces>
  void corrupt(const Pieces&... pieces) {
    fail(ErrorCode::kCorrupt, pieces...);
  }
  void check_text(std::string_view text);

  bool has(std::size_t count);  // a failure if not
  bool has_mark();              // a failure if not
  const PickleValue& at(ValueId id) const { return pickle_.values[id]; }
  ValueId add(PickleValue value);
  void push(PickleValue value) { stack_.push(add(value)); }
  void push_shared(ValueId& made, PickleValue value);
  void push_call(PickleCall call);
  ValueId class_of_id(ValueId id) const;
  ValueId add_tuple(std::span<const ValueId> items);
  PickleRange store(std::span<const ValueId> items);
  std::string_view text(PickleRange range) const;
  std::optional<std::uint32_t> list_of(ValueId container, PickleKind kind);

  const CheckGlobal& check_global_;
  std::optional<Error> failure_;
  Pickle pickle_;
  PickleStack stack_;
  PickleMemo memo_;
  GrowingLists lists_;

  // One value for all mentions of what cannot change, as Python has it, too.
  ValueId none_ = kNoValue;
  ValueId empty_tuple_ = kNoValue;
  std::array<ValueId, 2> bools_{};
  std::array<ValueId, 256> small_integers_{};
};

}  // namespace weightmap::checkpoint
