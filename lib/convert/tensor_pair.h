// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "weightmap/result.h"

#include "convert/diff_side.h"

namespace weightmap::convert {

// Two tensors of one shape, with any strides, whose elements are read together. Refers to both
// sides and tensors.
class TensorPair {
 public:
  // REQUIRES: one shape, and both have values.
  TensorPair(DiffSide& first,
             const SideTensor& first_tensor,
             DiffSide& second,
             const SideTensor& second_tensor);

  // How many bytes read() hands out, on the larger side; nothing for 2^63 or more.
  std::optional<std::uint64_t> size_bytes() const;

  // How many elements of the tensors each of them stands for: those of dimensions that repeat their
  // elements on both sides are read once.
  std::uint64_t repeats() const { return repeats_; }

  using Look = std::function<Result<void>(std::span<const std::byte> first,
                                          std::span<const std::byte> second)>;

  // Hands out all elements, as many of one as of the other, of compared_bytes() each. Memory: 24
  // MiB, whatever the strides. Errors: those of DiffSide::read and of `look`.
  // REQUIRES: size_bytes().
  Result<void> read(const Look& look);

 private:
  struct Dimension {
    std::uint64_t size = 1;
    std::int64_t first_stride = 0;  // elements
    std::int64_t second_stride = 0;
  };
  using Box = std::vector<Dimension>;
  struct Half {
    DiffSide& side;
    const SideTensor& tensor;
    std::int64_t Dimension::*stride;
    std::uint64_t element_bytes;  // as handed out
    std::vector<std::byte> block = {};
  };
  struct Origin {  // elements from the first one
    std::uint64_t first = 0;
    std::uint64_t second = 0;

    Origin moved(const Dimension& along, std::uint64_t count) const;
  };

  void merge_dimensions();
  Result<void> read_from(std::size_t dimension, const Origin& origin, const Look& look);
  Result<void> read_box(const Box& box, const Origin& origin, const Look& look);
  static Result<std::span<const std::byte>> gather(Half& half,
                                                   const Box& box,
                                                   std::uint64_t origin);

  Half first_;
  Half second_;
  Box dimensions_;  // the largest strides first
  std::uint64_t repeats_ = 1;
};

}  // namespace weightmap::convert
