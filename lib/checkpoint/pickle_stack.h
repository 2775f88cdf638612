// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// The stack of a pickle's machine with its marks. What lies below the last mark is out of reach.
class PickleStack {
 public:
  bool has(std::size_t count) const { return stack_.size() - floor() >= count; }
  bool has_mark() const { return !marks_.empty(); }
  std::size_t mark_count() const { return marks_.size(); }

  void push(ValueId id) { stack_.push_back(id); }
  void mark() { marks_.push_back(stack_.size()); }

  // REQUIRES: has(1), or has(count).
  ValueId top() const { return stack_.back(); }
  ValueId pop() {
    const ValueId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  std::span<const ValueId> last(std::size_t count) const { return std::span(stack_).last(count); }
  void drop(std::size_t count) { stack_.resize(stack_.size() - count); }

  // REQUIRES for all: has_mark().
  std::size_t count_above_mark() const { return stack_.size() - floor(); }
  std::span<const ValueId> above_mark() const { return last(count_above_mark()); }
  void drop_to_mark() {
    stack_.resize(floor());
    marks_.pop_back();
  }
  void forget_mark() { marks_.pop_back(); }

 private:
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  std::vector<ValueId> stack_;
  std::vector<std::size_t> marks_;
};

// What a pickle remembers by number. The caller bounds the numbers: room for all up to the
// largest is kept.
class PickleMemo {
 public:
  void reserve(std::size_t count) { values_.reserve(count); }
  std::uint32_t count() const { return count_; }

  void set(std::uint32_t number, ValueId id) {
    if (number >= values_.size()) values_.resize(std::size_t{number} + 1, kNoValue);
    if (values_[number] == kNoValue) ++count_;
    values_[number] = id;
  }
  ValueId get(std::uint32_t number) const {  // kNoValue: was not set
    return number < values_.size() ? values_[number] : kNoValue;
  }

 private:
  std::vector<ValueId> values_;
  std::uint32_t count_ = 0;  // of numbers that were set
};

}  // namespace weightmap::checkpoint
