// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weightmap/weight_file.h"

#include "convert/pickle_writer.h"
#include "convert/tensor_pickler.h"

namespace weightmap::convert {

// Writes composites as calls of the functions that rebuild them, their parts as tensors.
class CompositePickler {
 public:
  CompositePickler(const WeightFile& file, TensorPickler& tensors, PickleWriter& into)
      : file_(file), tensors_(tensors), out_(into) {}

  // Its steps fail with kUnsupported, naming the composite: a wrapper subclass, which only its own
  // class can make; a part that is missing.
  Rebuild rebuild_of(std::uint32_t number);

 private:
  Result<void> arguments(const CompositeView& composite, bool requires_grad);
  Result<void> quantized(const CompositeView& composite, bool requires_grad);
  Result<void> sparse(const CompositeView& composite);
  Result<void> part(const CompositeView& composite, std::string_view role);

  const WeightFile& file_;
  TensorPickler& tensors_;
  PickleWriter& out_;
};

}  // namespace weightmap::convert
