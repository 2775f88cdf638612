// SPDX-License-Identifier: Apache-2.0
#include "weightmap/result.h"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

namespace weightmap {
namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kInvalidArgument, "is odd");
  return number / 2;
}

Result<void> require_even(int number) {
  if (auto half = half_of(number); !half) return half.error();
  return {};
}

TEST_SUITE_BEGIN("base/result");

TEST_CASE("a result holds a value") {
  const Result<int> half = half_of(8);
  CHECK(half.has_value());
  CHECK(static_cast<bool>(half));
  CHECK(*half == 4);
  CHECK(half.value() == 4);
}

TEST_CASE("or a result holds the reason why there is none") {
  const Result<int> half = half_of(7);
  CHECK_FALSE(half.has_value());
  CHECK_FALSE(static_cast<bool>(half));
  CHECK(half.error().code() == ErrorCode::kInvalidArgument);
  CHECK(half.error().message() == "is odd");
}

TEST_CASE("a value that equals false is a value") {
  CHECK(Result<bool>(false).has_value());
  CHECK_FALSE(*Result<bool>(false));
  CHECK(Result<std::string>(std::string()).has_value());
  CHECK(Result<int*>(nullptr).has_value());
}

TEST_CASE("the value can be changed in place and reached into") {
  Result<std::string> text = std::string("ab");
  *text += 'c';
  text.value() += 'd';
  CHECK(text->size() == 4);
  CHECK(std::as_const(text)->back() == 'd');
}

TEST_CASE("a value that can only be moved is moved out") {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const int* const address = result->get();
  const std::unique_ptr<int> owner = *std::move(result);
  CHECK(owner.get() == address);
  CHECK(*result == nullptr);
  Result<std::unique_ptr<int>> second = std::make_unique<int>(6);
  CHECK(*std::move(second).value() == 6);
}

TEST_CASE("a copy is independent") {
  Result<std::string> first = std::string("one");
  Result<std::string> second = first;
  *second = "two";
  CHECK(*first == "one");
  first = Error(ErrorCode::kIo, "gone");
  CHECK_FALSE(first);
  CHECK(*second == "two");
  first = second;
  CHECK(*first == "two");
}

TEST_CASE("work without a value succeeds or has a reason") {
  CHECK(require_even(2).has_value());
  CHECK(static_cast<bool>(Result<void>()));
  const Result<void> failed = require_even(3);
  CHECK_FALSE(failed);
  CHECK(failed.error().message() == "is odd");
}

TEST_CASE("a result is not taken for a truth value by accident") {
  static_assert(!std::is_convertible_v<Result<int>, bool>);
  static_assert(!std::is_convertible_v<Result<void>, bool>);
  static_assert(std::is_constructible_v<bool, Result<void>>);
  static_assert(!std::is_default_constructible_v<Result<int>>);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
