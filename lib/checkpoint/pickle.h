// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/globals.h"

// A pickle, decoded and never executed: calls, classes and state stay data. Protocols 0 to 5. What
// the data mean is torch_values.h's.
namespace weightmap::checkpoint {

using ValueId = std::uint32_t;
inline constexpr ValueId kNoValue = 0xFFFFFFFFU;

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,        // integer: 0 or 1
  kInt,         // integer
  kBigInt,      // text: little-endian two's complement, as short as it can be
  kFloat,       // real
  kStr,         // text: UTF-8; also Python 2's byte strings that are UTF-8, as torch.load has it
  kBytes,       // text
  kByteArray,   // text
  kList,        // items
  kTuple,       // items
  kSet,         // items
  kFrozenSet,   // items
  kDict,        // items: key, value, key, value ... as set, repetitions included
  kGlobal,      // slot: in Pickle::globals
  kPersistent,  // slot: the ValueId of the persistent id
  kCall,        // slot: in Pickle::calls
};

// A part of the pickle's bytes and what was decoded from them, or of Pickle::items.
struct PickleRange {
  std::uint32_t begin;
  std::uint32_t size;
};

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  std::uint32_t slot = 0;
  union {
    std::int64_t integer = 0;
    double real;
    PickleRange range;  // of kinds with text or items
  };
};

// REDUCE, NEWOBJ, NEWOBJ_EX, INST or OBJ: how the call would have been made, and what was done to
// the result afterwards.
struct PickleCall {
  ValueId callable = kNoValue;           // a kGlobal, kCall or kPersistent
  ValueId arguments = kNoValue;          // a kTuple
  ValueId keyword_arguments = kNoValue;  // NEWOBJ_EX: a kDict
  ValueId state = kNoValue;              // BUILD
  PickleRange appended{};                // APPEND, APPENDS, ADDITEMS
  PickleRange set_items{};               // SETITEM, SETITEMS: key, value ...
};

// Bounds on what a pickle of N bytes may cost; tests count against them.
struct PickleLimits {
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 31U;
  // Of one that lies deflated in N bytes: kFreePackedBytes + kMostPacking * N.
  static constexpr std::uint64_t kFreePackedBytes = std::uint64_t{64} << 20U;
  static constexpr std::uint64_t kMostPacking = 128;
  static constexpr std::uint32_t kMaxDepth = 1000;    // nesting of values, and of marks
  static constexpr std::uint32_t kValuesPerByte = 1;  // so many items, calls and steps, too
};

// The values refer to `bytes`, which the caller keeps: those up to STOP. Values are shared and,
// when the pickle says so, contain themselves; they are in order of creation, not of containment.
struct Pickle {
  std::span<const std::byte> bytes;
  std::vector<char> decoded;  // what protocol 0 writes with escapes: ranges count on from `bytes`
  ValueId root = kNoValue;
  std::vector<PickleValue> values;
  std::vector<ValueId> items;
  std::vector<PickleCall> calls;
  std::vector<GlobalName> globals;
  std::uint64_t steps = 0;  // opcodes read

  // REQUIRES: a value of this pickle, of a kind that has what is asked for.
  std::string_view text(const PickleValue& value) const;
  std::span<const ValueId> items_of(PickleRange range) const {
    return std::span(items).subspan(range.begin, range.size);
  }
  std::span<const ValueId> items_of(const PickleValue& value) const {
    return items_of(value.range);
  }
};

// Asked about every class and function that the pickle names, also those that nothing refers to.
using CheckGlobal = std::function<Result<void>(const GlobalName&)>;

// What follows STOP is not looked at. A persistent id that names a class, as the formats before 1.6
// have it (('module', class, source file, source) or (class, source file, source)), is that class.
// Errors: kCorrupt and kUnsupported ("opcode 0x63 (GLOBAL) at byte 210: what is wrong"), and those
// of `check_global`, in the same form; `is_cut_short` tells whether more bytes might have helped.
// REQUIRES: at most PickleLimits::kMaxBytes bytes.
Result<Pickle> decode_pickle(std::span<const std::byte> bytes,
                             const CheckGlobal& check_global = {},
                             bool* is_cut_short = nullptr);

}  // namespace weightmap::checkpoint
