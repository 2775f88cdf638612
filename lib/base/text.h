// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weightmap {

// Messages are put together from pieces: text as it is, integers in decimal.

inline void append_piece(std::string& out, std::string_view text) {
  out += text;
}
inline void append_piece(std::string& out, char letter) {
  out += letter;
}
inline void append_piece(std::string& out, std::integral auto number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

template <typename... Pieces>
std::string concat(const Pieces&... pieces) {
  std::string out;
  (append_piece(out, pieces), ...);
  return out;
}

// A name from a file as it may stand in a message or on a terminal: in backquotes, control
// characters and broken UTF-8 as \xNN, cut to a readable length.
std::string quoted(std::string_view name);

// "[3, 4]": a shape as Python prints it.
std::string list_text(std::span<const std::int64_t> numbers);

bool is_valid_utf8(std::string_view text);

// Nothing but ASCII, and no NUL.
bool is_plain_ascii(std::string_view text);

}  // namespace weightmap
