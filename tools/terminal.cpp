// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace weightmap::tool {
namespace {

constexpr std::size_t kUsualColumns = 80;
constexpr std::array kColourCodes{"1", "2", "1;31", "32"};  // by Colour
constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
constexpr std::string_view kEllipsis = "\u2026";

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? std::string_view() : value;
}

// What the user says in COLUMNS goes before what the terminal says, as in ls.
std::size_t columns_or(std::size_t known) {
  const std::string_view wanted = environment("COLUMNS");
  std::size_t columns = 0;
  const auto parsed = std::from_chars(wanted.data(), wanted.data() + wanted.size(), columns);
  if (parsed.ec == std::errc() && columns > 0) return columns;
  return known > 0 ? known : kUsualColumns;
}

// The first of these that says something is in force.
bool is_locale_utf8() {
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = environment(name);
    if (locale.empty()) continue;
    return locale.ends_with("UTF-8") || locale.ends_with("utf8");
  }
  return false;
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

struct Lead {
  unsigned char first, last;
  std::size_t length;
  unsigned char second_first, second_last;  // the second byte's range rules out what is not UTF-8
};

constexpr std::array kLeads{
    Lead{0xC2, 0xDF, 2, 0x80, 0xBF}, Lead{0xE0, 0xE0, 3, 0xA0, 0xBF},
    Lead{0xE1, 0xEC, 3, 0x80, 0xBF}, Lead{0xED, 0xED, 3, 0x80, 0x9F},
    Lead{0xEE, 0xEF, 3, 0x80, 0xBF}, Lead{0xF0, 0xF0, 4, 0x90, 0xBF},
    Lead{0xF1, 0xF3, 4, 0x80, 0xBF}, Lead{0xF4, 0xF4, 4, 0x80, 0x8F},
};

// Bytes of the printable character that the text starts with; 0 when it starts with none.
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7F ? 1 : 0;
  const auto* const lead = std::ranges::find_if(
      kLeads, [&](const Lead& row) { return byte(0) >= row.first && byte(0) <= row.last; });
  if (lead == kLeads.end() || text.size() < lead->length) return 0;
  if (byte(1) < lead->second_first || byte(1) > lead->second_last) return 0;
  if (!std::ranges::all_of(text.substr(2, lead->length - 2), is_continuation)) return 0;
  const bool c1_control = byte(0) == 0xC2 && byte(1) < 0xA0;  // some terminals obey these
  return c1_control ? 0 : lead->length;
}

// The first or the last `count` characters.
std::string_view first_characters(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (!is_continuation(text[at]) && count-- == 0) break;
  }
  return text.substr(0, at);
}

std::string_view last_characters(std::string_view text, std::size_t count) {
  return text.substr(first_characters(text, width(text) - count).size());
}

}  // namespace

Screen screen_of(std::FILE* stream) {
  const int descriptor = fileno(stream);
  if (isatty(descriptor) == 0) return {};
  const std::string_view term = environment("TERM");
  winsize size{};
  ioctl(descriptor, TIOCGWINSZ, &size);
  Screen screen{.columns = columns_or(size.ws_col)};
  if (size.ws_row > 0) screen.rows = size.ws_row;
  screen.moves_cursor = !term.empty() && term != "dumb";
  screen.colours = screen.moves_cursor && environment("NO_COLOR").empty();
  screen.blocks = screen.moves_cursor && is_locale_utf8();
  return screen;
}

std::string coloured(const Screen& screen, Colour colour, std::string_view text) {
  if (!screen.colours || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kColourCodes[static_cast<std::size_t>(colour)], text);
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = printable_length(text);
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::size_t width(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, is_continuation));
}

std::string cut_middle(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  const std::size_t tail = (columns - 1) / 2;
  return fmt::format("{}{}{}", first_characters(text, columns - 1 - tail), kEllipsis,
                     last_characters(text, tail));
}

std::string cut_end(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  return fmt::format("{}{}", first_characters(text, columns - 1), kEllipsis);
}

std::string counted(std::uint64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; amount >= 1023.95; ++unit) {  // 1023.95 would print as 1024.0
    amount /= 1024;
  }
  return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_rate(std::uint64_t bytes, double seconds) {
  const double megabytes = static_cast<double>(bytes) / std::max(seconds, 1e-9) / 1e6;
  if (megabytes < 1000) return fmt::format("{:.1f} MB/s", megabytes);
  return fmt::format("{:.2f} GB/s", megabytes / 1000);
}

std::string human_pace(std::uint64_t bytes, double seconds) {
  return fmt::format("{:.{}f} s, {}", seconds, seconds < 10 ? 3 : 1, human_rate(bytes, seconds));
}

}  // namespace weightmap::tool
