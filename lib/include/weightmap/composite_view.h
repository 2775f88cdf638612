// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/composite.h"
#include "weightmap/dtype.h"
#include "weightmap/tensor_view.h"

namespace weightmap {

// A tensor that a composite is made of.
struct CompositePart {
  std::string_view role;     // "values", "scales" ...: FORMAT.md 3 has the roles of each kind
  std::uint32_t number = 0;  // of the tensor in its file
  TensorView tensor;
};

// A key of a weight file that stands for several tensors: quantized, sparse, nested, or an object
// of a tensor subclass. Dtype, shape and flags are those of the tensor that it stands for. Texts,
// lists and parts are valid as a TensorView is.
class CompositeView {
 public:
  struct Facts {
    std::string_view name;
    CompositeKind kind = CompositeKind::kQuantizedPerTensor;
    Dtype dtype = Dtype::kFloat32;
    std::uint16_t flags = 0;
    std::span<const std::int64_t> shape;
    std::vector<CompositePart> parts;
    std::span<const double> reals;
    std::span<const std::int64_t> integers;
    std::string_view class_name;
  };
  explicit CompositeView(Facts facts) : facts_(std::move(facts)) {}

  std::string_view name() const { return facts_.name; }
  CompositeKind kind() const { return facts_.kind; }
  Dtype dtype() const { return facts_.dtype; }
  std::uint16_t flags() const { return facts_.flags; }  // FORMAT.md 3
  std::span<const std::int64_t> shape() const { return facts_.shape; }
  // Of this view: they go with it.
  std::span<const CompositePart> parts() const& { return facts_.parts; }
  void parts() && = delete;
  // What numbers these are depends on the kind: scale, zero point, axis ... (FORMAT.md 3).
  std::span<const double> reals() const { return facts_.reals; }
  std::span<const std::int64_t> integers() const { return facts_.integers; }
  std::string_view class_name() const { return facts_.class_name; }  // "module.Class" or empty

  bool is_parameter() const;
  bool is_buffer() const;
  bool requires_grad() const;

  std::optional<TensorView> part(std::string_view role) const;  // nothing: no part has that role

 private:
  Facts facts_;
};

}  // namespace weightmap
