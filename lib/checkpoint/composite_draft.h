// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/composite.h"

#include "checkpoint/call_reader.h"

// The arguments by which PyTorch makes quantized, sparse and nested tensors again.
namespace weightmap::checkpoint {

struct PartDraft {
  std::string_view role;     // FORMAT.md 3
  ValueId value = kNoValue;  // of the pickle: ought to make a tensor
};

// A composite as a call describes it: nothing about its numbers and parts is checked yet.
struct CompositeDraft {
  CompositeKind kind = CompositeKind::kQuantizedPerTensor;
  std::vector<PartDraft> parts;  // without the values of a quantized tensor
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
};

// What follows the strides in `_rebuild_qtensor`. Per channel, the dtypes of the parts say which
// kind it is: PyTorch writes one name for both.
CompositeDraft read_quantizer(CallReader& from);

// `_rebuild_sparse_tensor`. The shape refers to the pickle.
CompositeDraft read_sparse(CallReader& from, std::span<const ValueId>& shape);

// The same as TorchScript calls it: (layout, shape, requires_grad, parts ..., hooks), where the
// layout is a number. Whether the next argument is one.
bool is_script_sparse(const CallReader& from);
CompositeDraft read_script_sparse(CallReader& from,
                                  std::span<const ValueId>& shape,
                                  bool& requires_grad);

// `_rebuild_nested_tensor`
CompositeDraft read_nested(CallReader& from);

}  // namespace weightmap::checkpoint
