// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/tensor_view.h"

namespace weightmap {

class Module;

// What layouts a slot takes: code that computes over values() wants contiguous elements; code that
// follows strides takes any.
enum class SlotLayout : std::uint8_t { kContiguous, kAnyStrides };

enum class SlotRole : std::uint8_t { kParameter, kBuffer, kNonPersistentBuffer };

// The place in a module where a parameter or buffer goes: dtype and shape that it must have, and
// after a bind a pointer to its bytes, which the module that it was first registered with keeps
// alive. Registered by address, so it neither moves nor is copied. Reading is safe from several
// threads, binding is not.
class Slot {
 public:
  struct Wanted {
    Dtype dtype = Dtype::kFloat32;
    std::vector<std::int64_t> shape;
    SlotRole role = SlotRole::kParameter;
    SlotLayout layout = SlotLayout::kContiguous;
    std::size_t alignment_bytes = 1;
  };

  explicit Slot(Wanted wanted) : wanted_(std::move(wanted)) {}
  ~Slot() = default;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  Slot(Slot&&) = delete;
  Slot& operator=(Slot&&) = delete;

  Dtype dtype() const { return wanted_.dtype; }
  std::span<const std::int64_t> shape() const { return wanted_.shape; }
  std::int64_t element_count() const;
  SlotRole role() const { return wanted_.role; }
  SlotLayout layout() const { return wanted_.layout; }
  std::size_t alignment_bytes() const { return wanted_.alignment_bytes; }

  // Whether a bind has given it its bytes (or there are none to give: no elements).
  bool is_bound() const { return bound_; }
  const std::byte* bytes() const { return data_; }  // null before a bind
  // In elements; of the bound tensor. Empty before a bind.
  std::span<const std::int64_t> strides() const { return strides_; }

  // Gives the slot bytes of the caller's, for values that do not come from a file. They must be
  // laid out as the slot wants, contiguous, and outlive the slot or the next bind.
  void point_to(const std::byte* data);

 private:
  friend class Binder;
  friend class Module;
  void take(const std::byte* data, std::span<const std::int64_t> strides) {
    data_ = data;
    strides_ = strides;
    bound_ = true;
  }

  Wanted wanted_;
  const std::byte* data_ = nullptr;
  std::span<const std::int64_t> strides_;
  std::vector<std::int64_t> own_strides_;  // of point_to; a bound slot's are the file's
  bool bound_ = false;
  Module* home_ = nullptr;  // the first module that it was registered with
  std::uint32_t row_ = 0;   // a hint for finding ties, of no meaning between binds
};

// A slot whose elements have a C++ type.
template <Element T>
class TypedSlot : public Slot {
 public:
  // REQUIRES: is_bound(), and a contiguous layout for values() and operator[].
  const T* data() const { return reinterpret_cast<const T*>(bytes()); }
  std::span<const T> values() const { return {data(), static_cast<std::size_t>(count())}; }
  const T& operator[](std::size_t element) const { return data()[element]; }

 protected:
  TypedSlot(SlotRole role, std::initializer_list<std::int64_t> shape, SlotLayout layout)
      : Slot({.dtype = *kDtypeOf<T>,
              .shape = shape,
              .role = role,
              .layout = layout,
              .alignment_bytes = alignof(T)}) {}

 private:
  std::int64_t count() const { return is_bound() ? element_count() : 0; }
};

// A parameter that registers itself: `Parameter<float> weight{*this, "weight", {out, in}};`
template <Element T>
class Parameter : public TypedSlot<T> {
 public:
  Parameter(Module& owner,
            std::string_view name,
            std::initializer_list<std::int64_t> shape,
            SlotLayout layout = SlotLayout::kContiguous);
};

enum class Persistent : bool { kNo, kYes };

// A buffer that registers itself; one that is not persistent has no key in a state dict.
template <Element T>
class Buffer : public TypedSlot<T> {
 public:
  Buffer(Module& owner,
         std::string_view name,
         std::initializer_list<std::int64_t> shape,
         Persistent persistent = Persistent::kYes,
         SlotLayout layout = SlotLayout::kContiguous);
};

}  // namespace weightmap
