// SPDX-License-Identifier: Apache-2.0
// The result is made box by box: leading indices fixed, one of a range, the rest whole, so that the
// boxes' elements stand one behind the other in row-major order. What a box needs of the source is
// read at once when it lies closely together, else cut along its largest stride.
#include "convert/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace weightmap::convert {
namespace {

struct Dimension {
  std::uint64_t size = 1;
  std::uint64_t source_step = 0;  // bytes
  std::uint64_t target_step = 0;  // bytes, in the block that is put
};
using Box = std::vector<Dimension>;

std::uint64_t count_of(const Box& box) {
  std::uint64_t count = 1;
  for (const Dimension& dimension : box)
    count *= dimension.size;
  return count;
}

// Bytes from the first element's first to the last one's last.
std::uint64_t extent_of(const Box& box, std::uint64_t element_bytes) {
  std::uint64_t extent = element_bytes;
  for (const Dimension& dimension : box)
    extent += (dimension.size - 1) * dimension.source_step;
  return extent;
}

class RowMajorCopy {
 public:
  RowMajorCopy(const TensorView& tensor, const ReadExtent& read, const PutBytes& put)
      : element_bytes_(dtype_info(tensor.dtype()).element_bits / 8), read_(read), put_(put) {
    std::uint64_t step = element_bytes_;
    whole_.resize(tensor.shape().size());
    for (std::size_t i = whole_.size(); i-- > 0;) {
      whole_[i] = {.size = static_cast<std::uint64_t>(tensor.shape()[i]),
                   .source_step = static_cast<std::uint64_t>(tensor.strides()[i]) * element_bytes_,
                   .target_step = step};
      step *= whole_[i].size;
    }
    constexpr std::uint64_t kMost = StridedCopyLimits::kBlockBytes;
    if (count_of(whole_) == 0) return;
    block_.resize(std::min(step, kMost));
    source_.resize(std::min(extent_of(whole_, element_bytes_), kMost));
  }

  Result<void> run() {
    return whole_.empty() || count_of(whole_) > 0 ? put_from(0, 0) : Result<void>();
  }

 private:
  // Puts what has the leading indices that `offset` stands for, dimension `first` and on whole.
  Result<void> put_from(std::size_t first, std::uint64_t offset) {
    const std::uint64_t bytes = inner_bytes(first);
    if (bytes <= block_.size()) return put_range(first, offset, {});
    const Dimension& split = whole_[first];
    const std::uint64_t each = bytes / split.size;
    const std::uint64_t at_once = block_.size() / each;
    const std::uint64_t step = std::max<std::uint64_t>(at_once, 1);
    for (std::uint64_t i = 0; i < split.size; i += step) {
      const std::uint64_t begin = offset + i * split.source_step;
      const std::uint64_t size = std::min(step, split.size - i);
      Result<void> done = at_once == 0
                              ? put_from(first + 1, begin)
                              : put_range(first + 1, begin, {{size, split.source_step, each}});
      if (!done) return done;
    }
    return {};
  }

  std::uint64_t inner_bytes(std::size_t first) const {
    std::uint64_t bytes = element_bytes_;
    for (std::size_t i = first; i < whole_.size(); ++i)
      bytes *= whole_[i].size;
    return bytes;
  }

  Result<void> put_range(std::size_t first, std::uint64_t offset, Box box) {
    box.insert(box.end(), whole_.begin() + static_cast<std::ptrdiff_t>(first), whole_.end());
    const std::uint64_t bytes = count_of(box) * element_bytes_;
    // In the order of the source, the largest step first.
    std::ranges::stable_sort(box, std::ranges::greater(), &Dimension::source_step);
    Result<void> filled = fill(box, offset, 0);
    if (!filled) return filled;
    return put_(std::span(block_).first(bytes));
  }

  bool is_read_at_once(const Box& box) const {
    const std::uint64_t extent = extent_of(box, element_bytes_);
    const bool is_close = extent <= StridedCopyLimits::kSmallReadBytes ||
                          extent / StridedCopyLimits::kSparsest <= count_of(box) * element_bytes_;
    return extent <= source_.size() && is_close;
  }

  Result<void> fill(const Box& box, std::uint64_t source, std::uint64_t target) {
    if (is_read_at_once(box)) {
      const auto bytes = std::span(source_).first(extent_of(box, element_bytes_));
      Result<void> done = read_(source, bytes);
      if (done) scatter(box, 0, target);
      return done;
    }
    const Dimension& largest = box.front();
    const Box rest(box.begin() + 1, box.end());
    const std::uint64_t step = indices_at_once(largest, rest);
    for (std::uint64_t i = 0; i < largest.size; i += step) {
      Box part = rest;
      const std::uint64_t size = std::min(step, largest.size - i);
      if (size > 1) part.insert(part.begin(), {size, largest.source_step, largest.target_step});
      Result<void> done =
          fill(part, source + i * largest.source_step, target + i * largest.target_step);
      if (!done) return done;
    }
    return {};
  }

  // So many that they are read at once; one when even that takes several.
  std::uint64_t indices_at_once(const Dimension& largest, const Box& rest) const {
    if (!is_read_at_once(rest)) return 1;
    std::uint64_t count = largest.size;
    while (count > 1) {
      Box part = rest;
      part.insert(part.begin(), {count, largest.source_step, largest.target_step});
      if (is_read_at_once(part)) break;
      count /= 2;
    }
    return count;
  }

  // From what was read into the block.
  void scatter(std::span<const Dimension> box, std::uint64_t source, std::uint64_t target) {
    if (box.empty()) {
      std::memcpy(block_.data() + target, source_.data() + source, element_bytes_);
      return;
    }
    const Dimension& first = box.front();
    for (std::uint64_t i = 0; i < first.size; ++i) {
      scatter(box.subspan(1), source + i * first.source_step, target + i * first.target_step);
    }
  }

  std::uint64_t element_bytes_;
  const ReadExtent& read_;
  const PutBytes& put_;
  Box whole_;
  std::vector<std::byte> block_;
  std::vector<std::byte> source_;
};

}  // namespace

Result<void> copy_row_major(const TensorView& tensor, const ReadExtent& read, const PutBytes& put) {
  return RowMajorCopy(tensor, read, put).run();
}

}  // namespace weightmap::convert
