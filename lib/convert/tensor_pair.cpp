// SPDX-License-Identifier: Apache-2.0
// Dimensions may be swapped as long as they are on both sides, so the elements are taken in an
// order in which they lie close together: for tensors that are dense in some order, and in the same
// one, that is one run of bytes.
#include "convert/tensor_pair.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/strided.h"
#include "convert/element_comparison.h"
#include "convert/strided_copy.h"

namespace weightmap::convert {
namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{4} << 20U;

// Elements of less than a byte, each into one of its own.
class Unpacker {
 public:
  Unpacker(DiffSide& side, const SideTensor& tensor, std::span<std::byte> into)
      : side_(side),
        tensor_(tensor),
        bits_(dtype_info(tensor.view.dtype()).element_bits),
        into_(into) {}

  Result<void> unpack(std::span<const std::int64_t> shape,
                      std::span<const std::int64_t> strides,
                      std::uint64_t element) {
    if (shape.empty()) return put(element);
    for (std::int64_t i = 0; i < shape.front(); ++i) {
      const auto moved = element + static_cast<std::uint64_t>(i * strides.front());
      Result<void> done = unpack(shape.subspan(1), strides.subspan(1), moved);
      if (!done) return done;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kWindowBytes = std::uint64_t{64} << 10U;

  Result<void> put(std::uint64_t element) {
    const std::uint64_t place = element * bits_ / 8;
    if (place < begin_ || place - begin_ >= window_.size()) {
      begin_ = place;
      window_.resize(std::min(kWindowBytes, tensor_.extent_bytes - place));
      Result<void> read = side_.read(*tensor_.segment, tensor_.offset_bytes + place, window_);
      if (!read) return read;
    }
    const auto byte = std::to_integer<unsigned>(window_[place - begin_]);
    const unsigned mask = (1U << bits_) - 1;
    into_[done_++] = static_cast<std::byte>(byte >> (element * bits_ % 8) & mask);
    return {};
  }

  DiffSide& side_;
  const SideTensor& tensor_;
  std::uint64_t bits_;
  std::span<std::byte> into_;
  std::size_t done_ = 0;
  std::uint64_t begin_ = 0;  // of the window, in the tensor's extent
  std::vector<std::byte> window_;
};

}  // namespace

TensorPair::TensorPair(DiffSide& first,
                       const SideTensor& first_tensor,
                       DiffSide& second,
                       const SideTensor& second_tensor)
    : first_{first, first_tensor, &Dimension::first_stride,
             compared_bytes(first_tensor.view.dtype())},
      second_{second, second_tensor, &Dimension::second_stride,
              compared_bytes(second_tensor.view.dtype())} {
  const auto shape = first_tensor.view.shape();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Dimension dimension{.size = static_cast<std::uint64_t>(shape[i]),
                              .first_stride = first_tensor.view.strides()[i],
                              .second_stride = second_tensor.view.strides()[i]};
    const bool repeats = dimension.first_stride == 0 && dimension.second_stride == 0;
    if (dimension.size == 0) repeats_ = 0;
    if (repeats) {
      repeats_ *= dimension.size;
    } else if (dimension.size != 1) {
      dimensions_.push_back(dimension);
    }
  }
  merge_dimensions();
}

void TensorPair::merge_dimensions() {
  std::ranges::stable_sort(dimensions_, std::ranges::greater(), [](const Dimension& dimension) {
    return std::max(dimension.first_stride, dimension.second_stride);
  });
  Box merged;
  for (const Dimension& dimension : dimensions_) {
    const auto size = static_cast<std::int64_t>(dimension.size);
    const bool continues =
        !merged.empty() &&
        merged.back().first_stride == checked_mul(dimension.first_stride, size) &&
        merged.back().second_stride == checked_mul(dimension.second_stride, size);
    if (continues) {
      const std::uint64_t whole = merged.back().size * dimension.size;
      merged.back() = dimension;
      merged.back().size = whole;
    } else {
      merged.push_back(dimension);
    }
  }
  dimensions_ = std::move(merged);
}

std::optional<std::uint64_t> TensorPair::size_bytes() const {
  if (repeats_ == 0) return 0;
  std::uint64_t bytes = std::max(first_.element_bytes, second_.element_bytes);
  for (const Dimension& dimension : dimensions_) {
    const auto product = checked_mul(bytes, dimension.size);
    if (!product || *product >> 63U != 0) return std::nullopt;
    bytes = *product;
  }
  return bytes;
}

Result<void> TensorPair::read(const Look& look) {
  return repeats_ == 0 ? Result<void>() : read_from(0, {}, look);
}

TensorPair::Origin TensorPair::Origin::moved(const Dimension& along, std::uint64_t count) const {
  return {.first = first + count * static_cast<std::uint64_t>(along.first_stride),
          .second = second + count * static_cast<std::uint64_t>(along.second_stride)};
}

Result<void> TensorPair::read_from(std::size_t dimension, const Origin& origin, const Look& look) {
  std::uint64_t count = 1;
  for (std::size_t i = dimension; i < dimensions_.size(); ++i)
    count *= dimensions_[i].size;
  const std::uint64_t most = kBlockBytes / std::max(first_.element_bytes, second_.element_bytes);
  const auto begin = dimensions_.begin() + static_cast<std::ptrdiff_t>(dimension);
  if (count <= most) return read_box(Box(begin, dimensions_.end()), origin, look);
  const Dimension& split = *begin;
  const std::uint64_t at_once = most / (count / split.size);
  const std::uint64_t step = std::max<std::uint64_t>(at_once, 1);
  for (std::uint64_t i = 0; i < split.size; i += step) {
    Box box(begin, dimensions_.end());
    box.front().size = std::min(step, split.size - i);
    const Origin part = origin.moved(split, i);
    Result<void> done =
        at_once == 0 ? read_from(dimension + 1, part, look) : read_box(box, part, look);
    if (!done) return done;
  }
  return {};
}

Result<void> TensorPair::read_box(const Box& box, const Origin& origin, const Look& look) {
  const auto first = gather(first_, box, origin.first);
  if (!first) return first.error();
  const auto second = gather(second_, box, origin.second);
  if (!second) return second.error();
  return look(*first, *second);
}

Result<std::span<const std::byte>> TensorPair::gather(Half& half,
                                                      const Box& box,
                                                      std::uint64_t origin) {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::uint64_t bytes = half.element_bytes;
  for (const Dimension& dimension : box) {
    shape.push_back(static_cast<std::int64_t>(dimension.size));
    strides.push_back(dimension.*half.stride);
    bytes *= dimension.size;
  }
  half.block.resize(std::max<std::size_t>(half.block.size(), bytes));
  const auto block = std::span(half.block).first(bytes);
  const Dtype dtype = half.tensor.view.dtype();
  const std::uint64_t place = half.tensor.offset_bytes + origin * half.element_bytes;
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) {
    return half.side.read(*half.tensor.segment, place + offset, into);
  };
  std::size_t done = 0;
  const auto put = [&](std::span<const std::byte> piece) -> Result<void> {
    std::memcpy(block.data() + done, piece.data(), piece.size());
    done += piece.size();
    return {};
  };
  Result<void> gathered;
  if (dtype_info(dtype).element_bits < 8) {
    gathered = Unpacker(half.side, half.tensor, block).unpack(shape, strides, origin);
  } else if (is_contiguous(shape, strides)) {
    gathered = read(0, block);
  } else {
    const TensorView view({.dtype = dtype, .shape = shape, .strides = strides});
    gathered = copy_row_major(view, read, put);
  }
  if (!gathered) return gathered.error();
  return std::span<const std::byte>(block);
}

}  // namespace weightmap::convert
