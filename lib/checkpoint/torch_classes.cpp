// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_classes.h"

#include <algorithm>
#include <array>

#include "checkpoint/tensor_draft.h"

namespace weightmap::checkpoint {
namespace {

constexpr auto kClasses = std::to_array<Class>({
    {{"collections", "OrderedDict"}, Role::kMapping, ValueKind::kOrderedDict},
    {{"collections", "Counter"}, Role::kMapping, ValueKind::kCounter},
    {{"collections", "defaultdict"}, Role::kMapping, ValueKind::kDefaultDict},
    {{"builtins", "set"}, Role::kItems, ValueKind::kSet},
    {{"builtins", "frozenset"}, Role::kItems, ValueKind::kFrozenSet},
    {{"torch", "Size"}, Role::kItems, ValueKind::kSize},
    {{"torch", "device"}, Role::kText, ValueKind::kDevice},
    {{"_codecs", "encode"}, Role::kText, ValueKind::kBytes},
    {{"builtins", "bytes"}, Role::kText, ValueKind::kBytes},
    {{"builtins", "bytearray"}, Role::kText, ValueKind::kByteArray},
    {{"builtins", "complex"}, Role::kText, ValueKind::kComplex},
});

}  // namespace

Class class_of(const GlobalName& modern) {
  if (makes_tensor(modern)) return {modern, Role::kTensor, ValueKind::kTensor};
  const auto* known = std::ranges::find(kClasses, modern, &Class::name);
  return known == kClasses.end() ? Class{modern, Role::kOpaque, ValueKind::kOpaque} : *known;
}

}  // namespace weightmap::checkpoint
