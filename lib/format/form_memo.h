// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "format/index_view.h"

namespace weightmap::format {

// What was found out about a form (shape, strides, dtype), kept for the next tensor that has the
// same one: `dims` holds equal shapes once, and a model has few. Forgets, when there are many, what
// it can find out again.
template <typename Value>
class FormMemo {
 public:
  // What `find_out(entry)` says, or said for another entry of the same form.
  template <typename FindOut>
  const Value& operator()(const fb::Entry& entry, const FindOut& find_out) {
    const Form form{std::uint64_t{entry.strides_begin()} << 32U | entry.shape_begin(),
                    static_cast<std::uint32_t>(entry.rank()) << 8U | entry.dtype()};
    Known& known = known_[place(form)];
    if (known.form != form) known = {form, find_out(entry)};
    return known.value;
  }

 private:
  struct Form {
    std::uint64_t dims = 0;
    std::uint32_t rank_and_dtype = 0xFFFFFFFFU;  // of no entry
    friend bool operator==(const Form&, const Form&) = default;
  };
  struct Known {
    Form form;
    Value value{};
  };
  static constexpr std::size_t kPlaces = 64;

  static std::size_t place(const Form& form) {
    constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;  // spreads small numbers over all bits
    return (form.dims * kOdd + form.rank_and_dtype) >> 58U;
  }

  std::array<Known, kPlaces> known_{};
};

}  // namespace weightmap::format
