// SPDX-License-Identifier: Apache-2.0
#include "runtime/save_bytes.h"

#include <algorithm>
#include <numeric>

#include "base/strided.h"

namespace weightmap {
namespace {

std::uintptr_t address(const std::byte* byte) {
  return reinterpret_cast<std::uintptr_t>(byte);
}

// Overlapping storages, and what their tensors reach of them.
struct Group {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  const std::byte* first = nullptr;   // the lowest element of all; null: there are none
  const std::byte* anchor = nullptr;  // one of the largest ones
  std::uint64_t granule_bytes = 0;

  void add(const TensorView& view) {
    if (view.extent().empty()) return;
    if (first == nullptr || view.data() < first) first = view.data();
    if (addressed_bytes(view.dtype()) > granule_bytes) {
      granule_bytes = addressed_bytes(view.dtype());
      anchor = view.data();
    }
  }

  // Where the offsets of all elements are multiples of their sizes, if that can be.
  const std::byte* base() const {
    if (first == nullptr) return begin;
    const std::uintptr_t before = (address(first) - address(anchor)) % granule_bytes;
    return before <= static_cast<std::uintptr_t>(first - begin) ? first - before : first;
  }
};

class Grouping {
 public:
  explicit Grouping(std::span<const StateTensor> tensors)
      : tensors_(tensors), group_of_(tensors.size(), format::kNoStorage) {}

  SavedBytes run() {
    find_groups();
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (group_of_[i] != format::kNoStorage) groups_[group_of_[i]].add(tensors_[i].view());
    }
    SavedBytes found;
    for (const Group& group : groups_)
      found.storages.emplace_back(group.base(), group.end);
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      found.tensors.push_back(place_of(i));
    return found;
  }

 private:
  // By ascending addresses: each storage overlaps the group before it, or begins one.
  void find_groups() {
    std::vector<std::size_t> order(tensors_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto begin_of = [&](std::size_t i) { return address(tensors_[i].storage().data()); };
    std::ranges::stable_sort(order, {}, begin_of);
    for (const std::size_t i : order) {
      const std::span<const std::byte> storage = tensors_[i].storage();
      if (storage.empty()) continue;
      const std::byte* const end = storage.data() + storage.size();
      if (groups_.empty() || address(storage.data()) >= address(groups_.back().end)) {
        groups_.push_back({.begin = storage.data(), .end = end});
      }
      Group& group = groups_.back();
      if (address(end) > address(group.end)) group.end = end;
      group_of_[i] = static_cast<std::uint32_t>(groups_.size() - 1);
    }
  }

  // A tensor without elements may point anywhere in its storage, or out of it.
  TensorBytes place_of(std::size_t i) const {
    if (group_of_[i] == format::kNoStorage) return {};
    const Group& group = groups_[group_of_[i]];
    const TensorView& view = tensors_[i].view();
    const std::uintptr_t base = address(group.base());
    const std::uintptr_t data = std::clamp(address(view.data()), base, address(group.end));
    const std::uint64_t offset = data - base;
    const bool is_empty = view.extent().empty();
    return {.storage = group_of_[i],
            .offset_bytes = is_empty ? offset - offset % addressed_bytes(view.dtype()) : offset};
  }

  std::span<const StateTensor> tensors_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_;  // by tensor
};

}  // namespace

SavedBytes find_bytes(std::span<const StateTensor> tensors) {
  return Grouping(tensors).run();
}

}  // namespace weightmap
