// SPDX-License-Identifier: Apache-2.0
// A bind of a file asks twice, once fast and without words: both must come to the same answer.
#include "runtime/slot_fit.h"

#include <doctest/doctest.h>

#include "weightmap/load.h"

#include "support/built_file.h"

namespace weightmap {
namespace {

using Reason = Mismatch::Reason;

struct Case {
  const char* what;
  void (*change)(format::TensorContent& tensor, Slot::Wanted& wanted);
  std::optional<Reason> reason;
};

const Case kCases[] = {
    {"as wanted", [](auto&, auto&) {}, std::nullopt},
    {"another shape",
     [](auto& tensor, auto&) {
       tensor.shape = {3, 2}, tensor.strides = {2, 1};
     },
     Reason::kShape},
    {"another rank", [](auto& tensor, auto&) { tensor.shape = {6}, tensor.strides = {1}; },
     Reason::kShape},
    {"another dtype", [](auto& tensor, auto&) { tensor.dtype = Dtype::kInt32; }, Reason::kDtype},
    {"any dtype",
     [](auto& tensor, auto& wanted) {
       tensor.dtype = Dtype::kInt32;
       wanted.any_dtype = true;
     },
     std::nullopt},
    {"a lazy slot",
     [](auto& tensor, auto& wanted) {
       tensor.dtype = Dtype::kInt32;
       wanted.lazy = true;
       wanted.shape = {};
     },
     std::nullopt},
    {"other strides",
     [](auto& tensor, auto&) {
       tensor.strides = {1, 2};
     },
     Reason::kLayout},
    {"other strides for who takes them",
     [](auto& tensor, auto& wanted) {
       tensor.strides = {1, 2};
       wanted.layout = SlotLayout::kAnyStrides;
     },
     std::nullopt},
    {"conjugated",
     [](auto& tensor, auto& wanted) {
       tensor.dtype = wanted.dtype = Dtype::kComplex64;
       tensor.flags = format::kConj;
     },
     Reason::kValues},
    {"negated", [](auto& tensor, auto&) { tensor.flags = format::kNeg; }, Reason::kValues},
    {"meta",
     [](auto& tensor, auto&) {
       tensor.flags = format::kMeta;
       tensor.segment = format::kNoSegment;
     },
     Reason::kValues},
    {"uninitialized",
     [](auto& tensor, auto&) {
       tensor.flags = format::kUninitialized;
       tensor.segment = format::kNoSegment;
       tensor.shape = tensor.strides = {};
     },
     Reason::kValues},
    {"uninitialized for a lazy slot",
     [](auto& tensor, auto& wanted) {
       tensor.flags = format::kUninitialized;
       tensor.segment = format::kNoSegment;
       tensor.shape = tensor.strides = {};
       wanted.lazy = true;
     },
     std::nullopt},
    {"an address that is not aligned",
     [](auto& tensor, auto& wanted) {
       tensor.offset_bytes = 4;
       wanted.alignment_bytes = 8;
     },
     Reason::kAlignment},
    {"a scalar of shape [1]",
     [](auto& tensor, auto& wanted) {
       tensor.shape = tensor.strides = {1};
       wanted.shape = {};
     },
     std::nullopt},
};

std::optional<Reason> reason_of(const std::optional<Mismatch>& mismatch) {
  if (!mismatch) return std::nullopt;
  return mismatch->reason;
}

TEST_SUITE_BEGIN("runtime/slot_fit");

TEST_CASE("a bind finds what is told of a slot and a tensor, no more and no less") {
  for (const Case& row : kCases) {
    CAPTURE(row.what);
    Slot::Wanted wanted{.shape = {2, 3}, .alignment_bytes = 4};
    format::Content content;
    content.tensors = {tests::tensor_in(0, "w", {2, 3})};
    row.change(content.tensors[0], wanted);
    const std::vector<std::byte> segment(64);
    const WeightFile file = tests::open_built(tests::build_file(content, {segment}));
    Slot slot(wanted);
    const auto told = find_mismatch(slot, file.tensor(0), "w", LoadMode::kBind);
    CHECK(reason_of(told) == row.reason);

    const FreeSlot free{.name = "w", .slot = &slot};
    const LoadReport report = bind_slots({&free, 1}, file);
    CHECK(report.ok() == !row.reason.has_value());
    REQUIRE(report.mismatched().size() == (row.reason ? 1U : 0U));
    if (row.reason) CHECK(report.mismatched()[0].text == told->text);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
