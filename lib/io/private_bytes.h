// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace weightmap::io {

// Memory of this process alone, aligned, uninitialized. From 2 MiB on it asks for huge
// pages: faulting it in one by one would take longer than reading a file into it.
class PrivateBytes {
 public:
  PrivateBytes() = default;
  static constexpr std::size_t kCacheLine = 64;
  static constexpr std::size_t kPage = 4096;

  // Aligned to at least so many bytes, a power of two up to 2 MiB.
  explicit PrivateBytes(std::size_t size, std::size_t alignment_bytes = kCacheLine);

  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  struct Free {
    std::align_val_t alignment;
    void operator()(std::byte* data) const { ::operator delete(data, alignment); }
  };
  std::unique_ptr<std::byte, Free> data_{nullptr, Free{}};
  std::size_t size_ = 0;
};

}  // namespace weightmap::io
