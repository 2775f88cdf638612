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

// Classes and functions whose objects are plain data, as their own pickles have them.
constexpr auto kPlainData = std::to_array<GlobalName>({
    {"argparse", "Namespace"},
    {"datetime", "date"},
    {"datetime", "datetime"},
    {"datetime", "time"},
    {"datetime", "timedelta"},
    {"datetime", "timezone"},
    {"decimal", "Decimal"},
    {"fractions", "Fraction"},
    {"numpy", "dtype"},
    {"numpy._core.multiarray", "_reconstruct"},  // since numpy 2
    {"numpy._core.multiarray", "scalar"},
    {"numpy._core.numeric", "_frombuffer"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy.core.numeric", "_frombuffer"},
    {"torch._dynamo.decorators", "_DimRange"},  // of the lengths that a nested tensor remembers
    {"torch.distributed._mesh_layout", "_FlatLayout"},
    {"torch.distributed._mesh_layout", "_MeshLayout"},
    {"torch.distributed.device_mesh", "DeviceMesh"},
    {"torch.distributed.tensor._dtensor_spec", "DTensorSpec"},
    {"torch.distributed.tensor._dtensor_spec", "ShardOrderEntry"},
    {"torch.distributed.tensor._dtensor_spec", "TensorMeta"},
    {"torch.distributed.tensor.placement_types", "Partial"},
    {"torch.distributed.tensor.placement_types", "Replicate"},
    {"torch.distributed.tensor.placement_types", "Shard"},
    {"torch.distributed.tensor.placement_types", "_StridedShard"},
    {"torch.serialization", "_get_layout"},
    {"types", "SimpleNamespace"},
    {"uuid", "SafeUUID"},
    {"uuid", "UUID"},
});

bool is_path(const GlobalName& name) {
  // The latter is where Python 3.13 keeps them.
  if (name.module != "pathlib" && name.module != "pathlib._local") return false;
  return name.name == "Path" || name.name == "PurePath" || name.name == "PosixPath" ||
         name.name == "PurePosixPath" || name.name == "WindowsPath" ||
         name.name == "PureWindowsPath";
}

bool is_plain_data(const GlobalName& name) {
  return std::ranges::find(kPlainData, name) != kPlainData.end() || is_path(name) ||
         (name.module == "numpy.dtypes" && name.name.ends_with("DType"));
}

}  // namespace

Class class_of(const GlobalName& modern) {
  if (makes_tensor(modern)) return {modern, Role::kTensor, ValueKind::kTensor};
  const auto* known = std::ranges::find(kClasses, modern, &Class::name);
  if (known != kClasses.end()) return *known;
  return {modern, Role::kOpaque, is_plain_data(modern) ? ValueKind::kObject : ValueKind::kOpaque};
}

}  // namespace weightmap::checkpoint
