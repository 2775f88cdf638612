// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/tensor_view.h"

namespace weightmap {

class Module;
class SlotHome;

// What layouts a slot takes: code that computes over values() wants contiguous elements; code that
// follows strides takes any.
enum class SlotLayout : std::uint8_t { kContiguous, kAnyStrides };

enum class SlotRole : std::uint8_t { kParameter, kBuffer, kNonPersistentBuffer };

// The place in a module where a parameter or buffer goes: dtype and shape that it must have, and a
// pointer to its bytes. After a bind these are the file's, which the slot and the module that it
// was first registered with keep open; after a load they are the slot's own, or the buffer that the
// caller gave it. Registered by address, so it neither moves nor is copied. Reading is safe from
// several threads, binding and loading is not.
class Slot {
 public:
  struct Wanted {
    Dtype dtype = Dtype::kFloat32;
    std::vector<std::int64_t> shape;
    SlotRole role = SlotRole::kParameter;
    SlotLayout layout = SlotLayout::kContiguous;
    std::size_t alignment_bytes = 1;
    bool any_dtype = false;     // a bind takes what dtype comes, and the slot has it from then on
    bool lazy = false;          // shape and dtype are those of the first tensor that comes
    bool requires_grad = true;  // of a parameter; only noted, for state_dict
  };

  explicit Slot(const Wanted& wanted);
  ~Slot() = default;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  Slot(Slot&&) = delete;
  Slot& operator=(Slot&&) = delete;

  Dtype dtype() const { return dtype_; }
  std::span<const std::int64_t> shape() const {
    return {rank_ <= kShortRank ? short_shape_.data() : long_shape_.get(), rank_};
  }
  std::int64_t element_count() const;
  SlotRole role() const { return role_; }
  SlotLayout layout() const { return layout_; }
  std::size_t alignment_bytes() const { return alignment_bytes_; }
  bool takes_any_dtype() const { return any_dtype_; }
  bool is_lazy() const { return lazy_; }  // false once a tensor has come
  bool requires_grad() const { return requires_grad_ && role_ == SlotRole::kParameter; }

  // Whether it was bound, loaded or given bytes; of no elements these may be none.
  bool is_bound() const { return bound_; }
  const std::byte* bytes() const { return data_; }  // null where it has none
  // In elements. Empty where it has no bytes.
  std::span<const std::int64_t> strides() const {
    return {strides_, strides_ == nullptr ? 0 : rank_};
  }

  // The same bytes to write to. Null where they are a file's, or not the slot's to write.
  std::byte* mutable_bytes() const { return own_ == nullptr ? nullptr : own_->writable; }

  // Gives the slot zeroed memory of its own, contiguous. False: there is not so much, and nothing
  // has changed. REQUIRES: !is_lazy().
  bool allocate();

  // Gives the slot bytes of the caller's, for values that do not come from a file. They must be
  // laid out as the slot wants, contiguous, and outlive the slot or the next bind or load.
  // REQUIRES: !is_lazy().
  void point_to(const std::byte* data);

  // Gives the slot a buffer of the caller's that loads copy into, with any strides (in elements;
  // without: contiguous). It must outlive the slot or the next bind. REQUIRES: !is_lazy(); a stride
  // for each dimension, none negative; no two elements in one place.
  void use_buffer(std::byte* data, std::optional<std::vector<std::int64_t>> strides = {});

 private:
  friend class Loader;
  friend class FileLoader;
  friend class DictLoader;
  friend class Module;
  friend class StateDictWriter;

  // What a slot has that is not bound to a file through its module.
  struct Own {
    std::vector<std::int64_t> strides;
    std::shared_ptr<const void> memory;  // null: the caller keeps the bytes
    std::span<const std::byte> storage;  // what the bytes are a view of, where that is known
    std::byte* writable = nullptr;       // null: not to be written
  };

  // REQUIRES: a stride for each dimension, for as long as the data.
  void take(const std::byte* data, const std::int64_t* strides) {
    data_ = data;
    strides_ = strides;
    bound_ = true;
    own_.reset();
  }
  bool takes_what_comes() const { return any_dtype_ || lazy_; }
  void take_own(const std::byte* data, Own own);
  // Contiguous, with no values yet. Null: there is not so much.
  static std::shared_ptr<std::byte> memory_for(Dtype dtype, std::span<const std::int64_t> shape);
  void take_memory(const std::shared_ptr<std::byte>& memory);
  void become(Dtype dtype, std::span<const std::int64_t> shape);
  void set_shape(std::span<const std::int64_t> shape);

  // A model has many slots, which a bind finds anywhere in memory: they are small, a shape of few
  // dimensions stands in them, and what a bind changes stands together.
  static constexpr std::uint32_t kShortRank = 2;

  const std::byte* data_ = nullptr;
  const std::int64_t* strides_ = nullptr;  // rank_ of them; null: not bound, or none
  std::unique_ptr<Own> own_;
  bool bound_ = false;
  bool any_dtype_ = false;
  bool lazy_ = false;
  bool requires_grad_ = true;
  Dtype dtype_ = Dtype::kFloat32;
  SlotRole role_ = SlotRole::kParameter;
  SlotLayout layout_ = SlotLayout::kContiguous;
  std::shared_ptr<SlotHome> home_;  // of the first module that it was registered with
  std::size_t alignment_bytes_ = 1;
  std::uint32_t row_ = 0;   // a hint for finding ties, of no meaning between binds
  std::uint32_t rank_ = 0;  // number of dimensions
  std::array<std::int64_t, kShortRank> short_shape_{};
  std::unique_ptr<std::int64_t[]> long_shape_;  // of more dimensions
};

// A slot whose elements have a C++ type.
template <Element T>
class TypedSlot : public Slot {
 public:
  // REQUIRES: is_bound(), and a contiguous layout for values() and operator[].
  const T* data() const { return reinterpret_cast<const T*>(bytes()); }
  std::span<const T> values() const { return {data(), static_cast<std::size_t>(count())}; }
  const T& operator[](std::size_t element) const { return data()[element]; }

  // Empty where the bytes are not the slot's to write. REQUIRES: as values().
  std::span<T> mutable_values() const {
    auto* const writable = reinterpret_cast<T*>(mutable_bytes());
    return {writable, writable == nullptr ? 0 : static_cast<std::size_t>(count())};
  }

 protected:
  TypedSlot(SlotRole role, std::initializer_list<std::int64_t> shape, SlotLayout layout)
      : Slot(Wanted{.dtype = *kDtypeOf<T>,
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
