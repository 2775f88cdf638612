// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "weightmap/dtype.h"

#include "checkpoint/globals.h"

namespace weightmap::checkpoint {

// The element type of one of PyTorch's storage classes by its name alone ("FloatStorage"), as
// torch.load finds it; nothing: no such class. A storage without a type counts bytes: kUInt8.
std::optional<Dtype> dtype_of_storage_class(std::string_view name);

// The class in the module `torch` that Python's torch.save writes for a dtype: "FloatStorage".
// Nothing: dtypes since 2.1 have none, and lie in storages without a type.
std::optional<std::string> storage_class_of(Dtype dtype);

// The element type of one of PyTorch's tensor classes: `torch.FloatTensor`,
// `torch.cuda.ByteTensor`; `torch.Tensor` is one of floats. Nothing: no such class, or one of
// sparse tensors.
std::optional<Dtype> dtype_of_tensor_class(const GlobalName& name);

}  // namespace weightmap::checkpoint
