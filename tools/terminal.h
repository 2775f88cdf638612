// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

// What a stream shows, and text made to fit it.
namespace weightmap::tool {

struct Screen {
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  std::size_t columns = kUnlimited;  // of a pipe or a file: nothing is cut there
  std::size_t rows = kUnlimited;
  bool moves_cursor = false;  // a terminal that can redraw a line
  bool colours = false;       // such a terminal, and NO_COLOR is not set
  bool blocks = false;        // a terminal that shows block characters: its locale is UTF-8
};

Screen screen_of(std::FILE* stream);

enum class Colour : std::uint8_t { kBold, kFaint, kRed, kGreen };

// The text as it is where the screen has no colours.
std::string coloured(const Screen& screen, Colour colour, std::string_view text);

// The text as one line of valid UTF-8: control characters and broken UTF-8 as \xNN. What all
// functions below expect.
std::string printable(std::string_view text);

// Code points: wide and combining characters are counted as one column.
std::size_t width(std::string_view text);

// At most `columns` wide: with … in the middle, so that both ends of a dotted name stay, or at the
// end. REQUIRES: columns > 0.
std::string cut_middle(std::string_view text, std::size_t columns);
std::string cut_end(std::string_view text, std::size_t columns);

std::string counted(std::uint64_t count, std::string_view thing);  // "1 tensor", "2 tensors"
double percent(std::uint64_t part, std::uint64_t whole);           // 100 of nothing
std::string human_bytes(std::uint64_t bytes);                      // "1.5 MiB"
std::string human_rate(std::uint64_t bytes, double seconds);       // "2.31 GB/s", "31.0 MB/s"
std::string human_pace(std::uint64_t bytes, double seconds);       // "0.123 s, 2.31 GB/s"

}  // namespace weightmap::tool
