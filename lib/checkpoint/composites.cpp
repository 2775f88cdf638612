// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/composites.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

bool is_index(Dtype dtype) {
  return dtype == Dtype::kInt64 || dtype == Dtype::kInt32;
}

class CompositeCheck {
 public:
  CompositeCheck(const Checkpoint& checkpoint, const Composite& composite)
      : checkpoint_(checkpoint), composite_(composite) {}

  std::string_view fault() const {
    switch (composite_.kind) {
      case CompositeKind::kQuantizedPerTensor:
        return std::isfinite(composite_.reals[0]) ? "" : "its scale is no number";
      case CompositeKind::kQuantizedPerChannel:
        return per_channel_fault(Dtype::kFloat64, Dtype::kInt64);
      case CompositeKind::kQuantizedPerChannelFloat:
        return per_channel_fault(Dtype::kFloat32, Dtype::kFloat32);
      case CompositeKind::kSparseCoo: return coo_fault();
      case CompositeKind::kSparseCsr: return compressed_fault("crow_indices", "col_indices", 0);
      case CompositeKind::kSparseCsc: return compressed_fault("ccol_indices", "row_indices", 0);
      case CompositeKind::kSparseBsr: return compressed_fault("crow_indices", "col_indices", 2);
      case CompositeKind::kSparseBsc: return compressed_fault("ccol_indices", "row_indices", 2);
      case CompositeKind::kNested: return nested_fault();
      case CompositeKind::kWrapperSubclass: return "";
    }
    return "";
  }

 private:
  using Sizes = std::span<const std::int64_t>;

  const Tensor& part(std::string_view role) const { return part_of(checkpoint_, composite_, role); }
  Sizes sizes(std::string_view role) const { return checkpoint_.shape(part(role)); }

  std::string_view per_channel_fault(Dtype scales, Dtype zero_points) const {
    if (part("scales").dtype != scales || part("zero_points").dtype != zero_points) {
      return "its scales and zero points are of no dtypes that go together";
    }
    const std::int64_t axis = composite_.integers[0];
    if (axis < 0 || axis >= static_cast<std::int64_t>(composite_.shape.size())) {
      return "its axis is no dimension of it";
    }
    const std::int64_t channels = composite_.shape[static_cast<std::size_t>(axis)];
    for (const Sizes found : {sizes("scales"), sizes("zero_points")}) {
      if (found.size() != 1 || found[0] != channels) {
        return "it has not one scale and one zero point for each of its channels";
      }
    }
    return "";
  }

  // indices: sparse dimensions by elements; values: elements by dense dimensions.
  std::string_view coo_fault() const {
    const Sizes indices = sizes("indices");
    const Sizes values = sizes("values");
    if (part("indices").dtype != Dtype::kInt64 || indices.size() != 2) {
      return "its indices are no matrix of int64";
    }
    if (values.empty() || values[0] != indices[1]) return "it has not one value for each index";
    const auto sparse = static_cast<std::size_t>(indices[0]);
    if (sparse > composite_.shape.size() ||
        !std::ranges::equal(values.subspan(1), Sizes(composite_.shape).subspan(sparse))) {
      return "its shape is not that of its indices and values";
    }
    return "";
  }

  // Batches, then compressed indices, or one index for each of the values or of the blocks.
  std::string_view compressed_fault(std::string_view compressed,
                                    std::string_view plain,
                                    std::size_t block_rank) const {
    const Sizes begins = sizes(compressed);
    const Sizes indices = sizes(plain);
    const Sizes values = sizes("values");
    if (!is_index(part(plain).dtype) || part(compressed).dtype != part(plain).dtype) {
      return "its indices are not both of int64 or both of int32";
    }
    const std::size_t rank = indices.size();
    if (rank == 0 || begins.size() != rank || values.size() < rank + block_rank ||
        composite_.shape.size() != values.size() + 1 - block_rank) {
      return "its shape is not that of its indices and values";
    }
    return std::ranges::equal(values.first(rank), indices) ? ""
                                                           : "it has not one value for each index";
  }

  std::string_view nested_fault() const {
    const bool are_int64 = std::ranges::all_of(composite_.parts, [&](const CompositePart& of) {
      return of.role == "values" || checkpoint_.tensors[of.tensor].dtype == Dtype::kInt64;
    });
    const Sizes shapes = sizes("sizes");
    const bool go_together =
        are_int64 && sizes("values").size() == 1 && std::ranges::equal(shapes, sizes("strides")) &&
        sizes("offsets").size() == 1 && !shapes.empty() && shapes[0] == sizes("offsets")[0];
    return go_together ? "" : "its sizes, strides and offsets do not go together";
  }

  const Checkpoint& checkpoint_;
  const Composite& composite_;
};

}  // namespace

const Tensor& part_of(const Checkpoint& checkpoint,
                      const Composite& composite,
                      std::string_view role) {
  const auto part = std::ranges::find(composite.parts, role, &CompositePart::role);
  return checkpoint.tensors[part->tensor];
}

Result<void> check_composite(const Checkpoint& checkpoint, const Composite& composite) {
  const std::string_view fault = CompositeCheck(checkpoint, composite).fault();
  if (fault.empty()) return {};
  return Error(ErrorCode::kCorrupt, concat("a ", composite_kind_name(composite.kind), " tensor of ",
                                           list_text(composite.shape), ": ", fault));
}

}  // namespace weightmap::checkpoint
