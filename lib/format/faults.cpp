// SPDX-License-Identifier: Apache-2.0
#include "format/faults.h"

#include <algorithm>

#include "weightmap/dtype.h"

#include "base/strided.h"
#include "base/text.h"
#include "format/index_view.h"

namespace weightmap::format {

std::string_view text_fault(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return "contains a NUL character";
  return is_valid_utf8(text) ? "" : "is not valid UTF-8";
}

std::string_view name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxNameBytes) return "is longer than 65535 bytes";
  return text_fault(name);
}

std::string_view dtype_fault(std::uint8_t dtype, std::uint16_t flags) {
  if (!is_known_dtype(dtype)) return "has an unknown dtype";
  if ((flags & ~kKnownEntryFlags) != 0) return "has an unknown flag";
  if ((flags & kParameter) != 0 && (flags & kBuffer) != 0) return "is both parameter and buffer";
  const bool is_complex = dtype_info(static_cast<Dtype>(dtype)).is_complex;
  if ((flags & kConj) != 0 && !is_complex) return "has the flag conj but no complex dtype";
  return "";
}

std::string_view shape_fault(std::span<const std::int64_t> shape) {
  const auto negative = [](std::int64_t size) { return size < 0; };
  if (std::ranges::any_of(shape, negative)) return "has a negative number in its shape";
  return checked_element_count(shape) ? "" : "has 2^63 elements or more";
}

}  // namespace weightmap::format
