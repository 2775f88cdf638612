// SPDX-License-Identifier: Apache-2.0
#include "weightmap/slot.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "base/checked.h"
#include "base/strided.h"

namespace weightmap {
namespace {

constexpr std::align_val_t kAlignment{64};  // what every vector instruction is content with

struct Release {
  void operator()(std::byte* memory) const { ::operator delete[](memory, kAlignment); }
};

// What no memory can hold is more than any has.
std::size_t contiguous_bytes(Dtype dtype, std::span<const std::int64_t> shape) {
  constexpr std::uint64_t kTooMany = std::numeric_limits<std::ptrdiff_t>::max();
  const auto elements = checked_element_count(shape);
  if (!elements) return kTooMany;
  const auto bytes = checked_mul(static_cast<std::uint64_t>(*elements), addressed_bytes(dtype));
  return std::min(bytes.value_or(kTooMany), kTooMany);
}

}  // namespace

Slot::Slot(const Wanted& wanted)
    : any_dtype_(wanted.any_dtype),
      lazy_(wanted.lazy),
      requires_grad_(wanted.requires_grad),
      dtype_(wanted.dtype),
      role_(wanted.role),
      layout_(wanted.layout),
      alignment_bytes_(wanted.alignment_bytes) {
  set_shape(wanted.shape);
}

void Slot::set_shape(std::span<const std::int64_t> shape) {
  rank_ = static_cast<std::uint32_t>(shape.size());
  if (rank_ > kShortRank) long_shape_ = std::make_unique<std::int64_t[]>(rank_);
  std::ranges::copy(shape, rank_ > kShortRank ? long_shape_.get() : short_shape_.data());
}

std::int64_t Slot::element_count() const {
  return checked_element_count(shape()).value_or(0);
}

void Slot::take_own(const std::byte* data, Own own) {
  auto owned = std::make_unique<Own>(std::move(own));
  take(data, owned->strides.data());
  own_ = std::move(owned);
}

std::shared_ptr<std::byte> Slot::memory_for(Dtype dtype, std::span<const std::int64_t> shape) {
  void* const memory = ::operator new[](contiguous_bytes(dtype, shape), kAlignment, std::nothrow);
  return {static_cast<std::byte*>(memory), Release()};
}

void Slot::take_memory(const std::shared_ptr<std::byte>& memory) {
  take_own(memory.get(), {.strides = *checked_contiguous_strides(shape()),
                          .memory = memory,
                          .storage = {},
                          .writable = memory.get()});
}

void Slot::become(Dtype dtype, std::span<const std::int64_t> shape) {
  dtype_ = dtype;
  if (lazy_) set_shape(shape);
  lazy_ = false;
}

bool Slot::allocate() {
  const std::shared_ptr<std::byte> memory = memory_for(dtype(), shape());
  if (memory == nullptr) return false;
  std::memset(memory.get(), 0, contiguous_bytes(dtype(), shape()));
  take_memory(memory);
  return true;
}

void Slot::point_to(const std::byte* data) {
  take_own(data, {.strides = *checked_contiguous_strides(shape()),
                  .memory = nullptr,
                  .storage = {},
                  .writable = nullptr});
}

void Slot::use_buffer(std::byte* data, std::optional<std::vector<std::int64_t>> strides) {
  if (!strides) strides = checked_contiguous_strides(shape());
  take_own(data,
           {.strides = *std::move(strides), .memory = nullptr, .storage = {}, .writable = data});
}

}  // namespace weightmap
