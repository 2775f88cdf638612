// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

// What several rules ask alike. Each answers with what is wrong, to stand after the name of the
// thing ("is empty"), or with an empty text when nothing is.
namespace weightmap::format {

// Text of any kind: valid UTF-8 without NUL.
std::string_view text_fault(std::string_view text);

// A name of a tensor or composite.
std::string_view name_fault(std::string_view name);

// A dtype and the flags of an entry beside it, as far as they go for composites too.
std::string_view dtype_fault(std::uint8_t dtype, std::uint16_t flags);

// A shape: no negative number, fewer than 2^63 elements.
std::string_view shape_fault(std::span<const std::int64_t> shape);

}  // namespace weightmap::format
