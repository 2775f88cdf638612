// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "weightmap/dtype.h"
#include "weightmap/error.h"

#include "base/text.h"
#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// Reads the arguments of a call one after another. It remembers its first failure (what is read
// after one is nothing), so that whoever knows a function reads as the list of its arguments.
class CallReader {
 public:
  explicit CallReader(const Pickle& pickle) : pickle_(pickle) {}

  // The call that is being read: its name is for messages.
  struct Call {
    GlobalName function;
    std::span<const ValueId> arguments;  // those that are still to be read
  };
  const Call& call() const { return call_; }
  void set_call(const Call& call) { call_ = call; }

  const Pickle& pickle() const { return pickle_; }
  const PickleValue& value(ValueId id) const { return pickle_.values[id]; }
  bool has_failed() const { return failure_.has_value(); }
  const std::optional<Error>& failure() const { return failure_; }

  bool has_next() const { return !call_.arguments.empty(); }
  ValueId next_id(std::string_view what);  // kNoValue after a failure
  const PickleValue& next(std::string_view what);
  bool boolean(std::string_view what);
  std::int64_t integer(std::string_view what);
  double real(std::string_view what);
  std::span<const ValueId> tuple(std::string_view what);
  std::span<const ValueId> sizes(std::string_view what);  // a tuple, a list, a torch.Size of one
  GlobalName global(std::string_view what);               // under its modern name
  Dtype dtype();
  void no_hooks();

  void fail(ErrorCode code, std::string_view message);
  void fail(const Error& error);
  void wrong(std::string_view what, std::string_view expected) {
    fail(ErrorCode::kCorrupt, concat(what, " is not ", expected));
  }

 private:
  bool is_empty(const PickleValue& of) const;

  const Pickle& pickle_;
  Call call_;
  std::optional<Error> failure_;
};

}  // namespace weightmap::checkpoint
