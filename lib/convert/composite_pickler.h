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

  // Its steps fail with kUnsupported, naming the composite, for a part that is missing.
  // REQUIRES: of a subclass without strides of its own: it has a part "values", which is not
  // uninitialized.
  Rebuild rebuild_of(std::uint32_t number);

  // Of a jagged nested tensor (export_selection.h) the arguments are begun only: the caller pushes
  // the name and the value of each of kJaggedArguments (jagged.h), which may have attributes and
  // may be shared, and ends them.
  void end_jagged();

 private:
  Result<void> arguments(const CompositeView& composite, bool requires_grad);
  Result<void> quantized(const CompositeView& composite, bool requires_grad);
  Result<void> sparse(const CompositeView& composite);
  Rebuild rebuild_of_subclass(std::uint32_t number);
  void begin_jagged(std::int64_t ragged_dimension, bool requires_grad);
  Result<void> wrapper(const CompositeView& composite, bool requires_grad);
  void layout(std::string_view name);
  Result<void> part(const CompositeView& composite, std::string_view role);

  const WeightFile& file_;
  TensorPickler& tensors_;
  PickleWriter& out_;
};

}  // namespace weightmap::convert
