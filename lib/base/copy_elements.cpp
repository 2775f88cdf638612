// SPDX-License-Identifier: Apache-2.0
// Both sides are walked in one order, block by block. Where the next elements of a side lie one
// behind the other they are used in place; else they go through a buffer that the first cache
// holds. The cast itself then sees only packed numbers.
#include "base/copy_elements.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <vector>

#include "base/element_walk.h"
#include "base/number_cast.h"

namespace weightmap {
namespace {

constexpr std::size_t kBlockElements = 512;
constexpr std::size_t kLargestElement = 16;  // bytes

using Buffer = std::array<std::byte, kBlockElements * kLargestElement>;

struct Dimension {
  std::size_t size;
  std::ptrdiff_t from_step;  // bytes
  std::ptrdiff_t to_step;
};
using Box = std::vector<Dimension>;

std::size_t bytes_of(Dtype dtype) {
  return dtype_info(dtype).element_bits / 8;
}

// In the order in which the target lies in memory.
Box common_box(const ElementSource& from, const ElementTarget& to) {
  Box box;
  box.reserve(from.shape.size() + 1);
  const auto from_bytes = static_cast<std::ptrdiff_t>(bytes_of(from.dtype));
  const auto to_bytes = static_cast<std::ptrdiff_t>(bytes_of(to.dtype));
  for (std::size_t i = 0; i < from.shape.size(); ++i) {
    if (from.shape[i] == 1) continue;  // whose strides may be anything
    box.push_back({static_cast<std::size_t>(from.shape[i]), from.strides[i] * from_bytes,
                   to.strides[i] * to_bytes});
  }
  std::ranges::stable_sort(box, std::ranges::greater(), &Dimension::to_step);
  return box;
}

std::size_t count_of(const Box& box) {
  std::size_t count = 1;
  for (const Dimension& dimension : box)
    count *= dimension.size;
  return count;
}

ElementWalk walk_of(const Box& box, std::ptrdiff_t Dimension::*step, std::size_t element_bytes) {
  std::vector<ElementWalk::Dimension> dimensions;
  dimensions.reserve(box.size());
  for (const Dimension& dimension : box)
    dimensions.push_back({dimension.size, dimension.*step});
  return {dimensions, element_bytes};
}

template <std::size_t kBytes>
void copy_run(const std::byte* from,
              std::ptrdiff_t from_step,
              std::byte* to,
              std::ptrdiff_t to_step,
              std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(to, from, kBytes);
    from += from_step;
    to += to_step;
  }
}

using CopyRun = void (*)(const std::byte*, std::ptrdiff_t, std::byte*, std::ptrdiff_t, std::size_t);

CopyRun copy_run_of(std::size_t element_bytes) {
  switch (element_bytes) {
    case 1: return copy_run<1>;
    case 2: return copy_run<2>;
    case 4: return copy_run<4>;
    case 8: return copy_run<8>;
    default: return copy_run<16>;
  }
}

// One side of a copy: its elements in the common order.
template <typename Byte>
class Side {
 public:
  Side(Byte* data, ElementWalk walk, std::size_t element_bytes)
      : data_(data),
        walk_(std::move(walk)),
        element_bytes_(element_bytes),
        copy_run_(copy_run_of(element_bytes)) {}

  std::size_t straight_count() const { return walk_.straight_count(); }

  // The next elements where they lie, null if they do not lie one behind the other.
  Byte* take(std::size_t count) {
    if (straight_count() < count) return nullptr;
    return data_ + walk_.next(count).offset_bytes;
  }

  void gather(std::size_t count, std::byte* into) {
    while (count > 0) {
      const ElementWalk::Run run = walk_.next(count);
      const Byte* from = data_ + run.offset_bytes;
      const std::size_t bytes = run.count * element_bytes_;
      if (is_straight()) {
        std::memcpy(into, from, bytes);
      } else {
        copy_run_(from, walk_.step_bytes(), into, packed_step(), run.count);
      }
      into += bytes;
      count -= run.count;
    }
  }

  void scatter(std::size_t count, const std::byte* from) {
    while (count > 0) {
      const ElementWalk::Run run = walk_.next(count);
      Byte* into = data_ + run.offset_bytes;
      const std::size_t bytes = run.count * element_bytes_;
      if (is_straight()) {
        std::memcpy(into, from, bytes);
      } else {
        copy_run_(from, packed_step(), into, walk_.step_bytes(), run.count);
      }
      from += bytes;
      count -= run.count;
    }
  }

 private:
  std::ptrdiff_t packed_step() const { return static_cast<std::ptrdiff_t>(element_bytes_); }
  bool is_straight() const { return walk_.step_bytes() == packed_step(); }

  Byte* data_;
  ElementWalk walk_;
  std::size_t element_bytes_;
  CopyRun copy_run_;
};

using FromSide = Side<const std::byte>;
using ToSide = Side<std::byte>;

// So many at once: all that both have straight, else a block.
std::size_t block_of(const FromSide& from, const ToSide& to, std::size_t left) {
  const std::size_t straight = std::min(from.straight_count(), to.straight_count());
  return std::max(straight, std::min(left, kBlockElements));
}

void copy_bytes(const Box& box,
                const std::byte* from_data,
                std::byte* to_data,
                std::size_t element_bytes) {
  FromSide from(from_data, walk_of(box, &Dimension::from_step, element_bytes), element_bytes);
  ToSide to(to_data, walk_of(box, &Dimension::to_step, element_bytes), element_bytes);
  Buffer buffer;
  for (std::size_t left = count_of(box); left > 0;) {
    const std::size_t count = block_of(from, to, left);
    if (std::byte* into = to.take(count)) {
      from.gather(count, into);
    } else if (const std::byte* packed = from.take(count)) {
      to.scatter(count, packed);
    } else {
      from.gather(count, buffer.data());
      to.scatter(count, buffer.data());
    }
    left -= count;
  }
}

// Numbers of one side become numbers of the other.
struct NumberCopy {
  Dtype from_dtype;
  const std::byte* from;
  Dtype to_dtype;
  std::byte* to;
  bool negate;
};

void copy_numbers(const Box& box, const NumberCopy& copy) {
  const std::size_t from_bytes = bytes_of(copy.from_dtype);
  const std::size_t to_bytes = bytes_of(copy.to_dtype);
  FromSide from(copy.from, walk_of(box, &Dimension::from_step, from_bytes), from_bytes);
  ToSide to(copy.to, walk_of(box, &Dimension::to_step, to_bytes), to_bytes);
  Buffer packed;
  Buffer result;
  for (std::size_t left = count_of(box); left > 0;) {
    const std::size_t count = block_of(from, to, left);
    const std::byte* elements = from.take(count);
    if (elements == nullptr) {
      from.gather(count, packed.data());
      elements = packed.data();
    }
    std::byte* in_place = to.take(count);
    const std::span into(in_place != nullptr ? in_place : result.data(), count * to_bytes);
    cast_numbers(copy.from_dtype, {elements, count * from_bytes}, copy.to_dtype, into);
    if (copy.negate) negate_numbers(copy.to_dtype, into);
    if (in_place == nullptr) to.scatter(count, into.data());
    left -= count;
  }
}

// Whether either part is not 0.
void copy_truth(const Box& box, Dtype part, const std::byte* from_data, std::byte* to_data) {
  const std::size_t pair_bytes = 2 * bytes_of(part);
  FromSide from(from_data, walk_of(box, &Dimension::from_step, pair_bytes), pair_bytes);
  ToSide to(to_data, walk_of(box, &Dimension::to_step, 1), 1);
  Buffer pairs;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): written before it is read
  std::array<std::byte, 2 * kBlockElements> truths;
  for (std::size_t left = count_of(box); left > 0;) {
    const std::size_t count = std::min(left, kBlockElements);
    from.gather(count, pairs.data());
    cast_numbers(part, std::span(pairs).first(count * pair_bytes), Dtype::kBool,
                 std::span(truths).first(2 * count));
    for (std::size_t i = 0; i < count; ++i)
      truths[i] = truths[2 * i] | truths[2 * i + 1];
    to.scatter(count, truths.data());
    left -= count;
  }
}

void copy_parts(Box box, const ElementSource& from, const ElementTarget& to) {
  const ElementParts source = parts_of_element(from.dtype);
  const ElementParts target = parts_of_element(to.dtype);
  const NumberCopy real{source.dtype, from.data, target.dtype, to.data, from.neg};
  const std::size_t source_bytes = bytes_of(source.dtype);
  const std::size_t target_bytes = bytes_of(target.dtype);
  NumberCopy imaginary = real;
  imaginary.to += target_bytes;
  if (target.count == 1) {
    copy_numbers(box, real);
  } else if (source.count == 1) {
    copy_numbers(box, real);
    constexpr std::array<std::byte, kLargestElement> kZero{};
    imaginary.from_dtype = target.dtype;
    imaginary.from = kZero.data();
    for (Dimension& dimension : box)
      dimension.from_step = 0;
    copy_numbers(box, imaginary);
  } else if (from.conj) {
    copy_numbers(box, real);
    imaginary.from += source_bytes;
    imaginary.negate = !from.neg;
    copy_numbers(box, imaginary);
  } else {
    box.push_back(
        {2, static_cast<std::ptrdiff_t>(source_bytes), static_cast<std::ptrdiff_t>(target_bytes)});
    copy_numbers(box, real);
  }
}

bool has_stored_signs(const ElementSource& from) {
  const ElementParts parts = parts_of_element(from.dtype);
  return is_number(parts.dtype) && (from.neg || (from.conj && parts.count == 2));
}

}  // namespace

bool can_copy(Dtype from, Dtype to) {
  if (from == to) return dtype_info(from).element_bits % 8 == 0;
  return is_number(parts_of_element(from).dtype) && is_number(parts_of_element(to).dtype);
}

void copy_elements(const ElementSource& from, const ElementTarget& to) {
  assert(can_copy(from.dtype, to.dtype) && from.shape.size() == from.strides.size() &&
         from.shape.size() == to.strides.size());
  if (std::ranges::find(from.shape, 0) != from.shape.end()) return;
  const Box box = common_box(from, to);
  const ElementParts parts = parts_of_element(from.dtype);
  if (from.dtype == to.dtype && !has_stored_signs(from)) {
    copy_bytes(box, from.data, to.data, bytes_of(from.dtype));
  } else if (parts.count == 2 && to.dtype == Dtype::kBool) {
    copy_truth(box, parts.dtype, from.data, to.data);
  } else {
    copy_parts(box, from, to);
  }
}

}  // namespace weightmap
