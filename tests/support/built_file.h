// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "weightmap/weight_file.h"

#include "format/content.h"
#include "format/segment_digest.h"

namespace weightmap::tests {

// Bytes at an address that tensors may be used at.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : size_(size), data_(static_cast<std::byte*>(::operator new(size, kAlignment))) {
    std::memset(data_.get(), 0, size);
  }
  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* data) const { ::operator delete(data, kAlignment); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

// A weight file in memory, made of what it is to say and the bytes of its own segments. Its sizes
// are those of the segments given; the digests of its data files' are given, too.
inline std::shared_ptr<AlignedBytes> build_file(format::Content content,
                                                const std::vector<std::vector<std::byte>>& segments,
                                                const std::vector<Digest>& sibling_digests = {}) {
  format::ContentDigests digests;
  content.segment_sizes_bytes.clear();
  for (const auto& segment : segments) {
    content.segment_sizes_bytes.push_back(segment.size());
    format::SegmentDigester digester(segment.size());
    digester.update(segment);
    const auto found = digester.finish();
    digests.segments.push_back(found.segment);
    digests.chunks.insert(digests.chunks.end(), found.chunks.begin(), found.chunks.end());
  }
  digests.segments.insert(digests.segments.end(), sibling_digests.begin(), sibling_digests.end());
  const auto layout = format::lay_out(content);
  if (!layout) throw std::runtime_error(layout.error().message());
  const auto front = format::encode_front(content, *layout, digests);
  if (!front) throw std::runtime_error(front.error().message());
  auto file = std::make_shared<AlignedBytes>(layout->file_size_bytes);
  std::memcpy(file->bytes().data(), front->data(), front->size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    std::memcpy(file->bytes().data() + layout->segments[i].offset_bytes, segments[i].data(),
                segments[i].size());
  }
  return file;
}

inline WeightFile open_built(const std::shared_ptr<AlignedBytes>& file) {
  auto opened = WeightFile::from_memory(file->bytes(), file, "built");
  if (!opened) throw std::runtime_error(opened.error().message());
  return *opened;
}

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A tensor of the given shape, contiguous, at the start of a segment.
inline format::TensorContent tensor_in(std::uint32_t segment,
                                       std::string name,
                                       std::vector<std::int64_t> shape,
                                       Dtype dtype = Dtype::kFloat32) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return {.name = std::move(name),
          .dtype = dtype,
          .segment = segment,
          .shape = std::move(shape),
          .strides = std::move(strides)};
}

}  // namespace weightmap::tests
