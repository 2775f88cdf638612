// SPDX-License-Identifier: Apache-2.0
#include "weightmap/slot.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/strided.h"

namespace weightmap {
namespace {

constexpr std::align_val_t kAlignment{64};  // what every vector instruction is content with

struct Release {
  void operator()(std::byte* memory) const { ::operator delete[](memory, kAlignment); }
};

std::shared_ptr<std::byte> new_memory(std::uint64_t bytes) {
  return {static_cast<std::byte*>(::operator new[](bytes, kAlignment)), Release()};
}

// The shape is the program's own: if memory cannot hold it, the program finds out here.
std::uint64_t contiguous_bytes(const Slot& slot) {
  const auto elements = static_cast<std::uint64_t>(slot.element_count());
  return elements * addressed_bytes(slot.dtype());
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

void Slot::take_new_memory() {
  const std::shared_ptr<std::byte> memory = new_memory(contiguous_bytes(*this));
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

void Slot::allocate() {
  take_new_memory();
  std::memset(mutable_bytes(), 0, contiguous_bytes(*this));
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
