// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

namespace weightmap {

// A tensor of a weight file: what it is and where its bytes are. A value that owns nothing: it and
// everything it hands out is valid as long as any WeightFile of that mapping lives (a module that
// was bound to the file holds one). Reading is safe from several threads.
class TensorView {
 public:
  // Strides count elements. `data` is the first element, null when there are no bytes, or none
  // that can be read.
  struct Parts {
    std::string_view name;
    Dtype dtype = Dtype::kFloat32;
    std::uint16_t flags = 0;
    std::span<const std::int64_t> shape;
    std::span<const std::int64_t> strides;
    const std::byte* data = nullptr;
    bool is_absent = false;
  };
  explicit TensorView(const Parts& parts) : parts_(parts) {}

  std::string_view name() const { return parts_.name; }
  Dtype dtype() const { return parts_.dtype; }
  std::uint16_t flags() const { return parts_.flags; }  // FORMAT.md 3
  std::span<const std::int64_t> shape() const { return parts_.shape; }
  std::span<const std::int64_t> strides() const { return parts_.strides; }
  const std::byte* data() const { return parts_.data; }

  std::int64_t element_count() const;
  // From the first byte that an element occupies to the last: all that may be read at data().
  std::span<const std::byte> extent() const;

  bool is_contiguous() const;  // row-major without gaps, PyTorch's rule: sizes of 1 do not count
  bool is_parameter() const;
  bool is_buffer() const;
  bool requires_grad() const;
  bool is_conj() const;           // values are the conjugates of what is stored
  bool is_neg() const;            // values are the negatives of what is stored
  bool is_meta() const;           // has shape and dtype, no values
  bool is_uninitialized() const;  // a lazy parameter: not even a shape
  bool is_part() const;           // of a composite: not a key of its own
  // Has bytes, but in a data file that is not open (OpenOptions::need_data_files).
  bool is_absent() const { return parts_.is_absent; }
  bool has_no_values() const { return is_meta() || is_uninitialized(); }

  // The elements in place. Errors, kMismatch: T is not the dtype, the elements are not contiguous,
  // are stored conjugated or negated, have no values, are absent, or lie at an address T cannot
  // have. The result's bytes are the mapping's own; touching them is what reads the file.
  template <Element T>
  Result<std::span<const T>> values() const {
    const Result<void> fit = check_values(*kDtypeOf<T>, alignof(T));
    if (!fit) return fit.error();
    return std::span(reinterpret_cast<const T*>(parts_.data),
                     static_cast<std::size_t>(element_count()));
  }

 private:
  Result<void> check_values(Dtype wanted, std::size_t alignment_bytes) const;

  Parts parts_;
};

}  // namespace weightmap
