// SPDX-License-Identifier: Apache-2.0
#include "io/memory_area.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <sys/sysmacros.h>
#include <utility>

#include "base/checked.h"

namespace weightmap::io {
namespace {

constexpr std::string_view kBlanks = " \t";

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
}

std::optional<std::uint64_t> take_number(std::string_view& text, int base) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (parsed.ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return number;
}

bool take_letter(std::string_view& text, char letter) {
  if (!text.starts_with(letter)) return false;
  text.remove_prefix(1);
  return true;
}

void skip_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_of(kBlanks), text.size()));
  skip_blanks(text);
}

// "fe:00 1234", and the path behind it.
bool take_file(std::string_view& text, MemoryArea& area) {
  const auto major_number = take_number(text, 16);
  if (!major_number || !take_letter(text, ':')) return false;
  const auto minor_number = take_number(text, 16);
  if (!minor_number || !take_letter(text, ' ')) return false;
  skip_blanks(text);
  const auto inode = take_number(text, 10);
  if (!inode) return false;
  skip_blanks(text);
  area.device = makedev(static_cast<unsigned>(*major_number), static_cast<unsigned>(*minor_number));
  area.inode = *inode;
  area.path = text;
  return true;
}

// Numbers that no memory could hold stop at the largest one.
void add(std::uint64_t& sum, std::uint64_t bytes) {
  sum = checked_add(sum, bytes).value_or(std::numeric_limits<std::uint64_t>::max());
}

constexpr std::array kFields{
    std::pair("Rss", &AreaBytes::rss),
    std::pair("Pss", &AreaBytes::pss),
    std::pair("Shared_Clean", &AreaBytes::shared_clean),
    std::pair("Shared_Dirty", &AreaBytes::shared_dirty),
    std::pair("Private_Clean", &AreaBytes::private_clean),
    std::pair("Private_Dirty", &AreaBytes::private_dirty),
    std::pair("Anonymous", &AreaBytes::anonymous),
    std::pair("Swap", &AreaBytes::swap),
    std::pair("Locked", &AreaBytes::locked),
    std::pair("AnonHugePages", &AreaBytes::anonymous_huge),
};

void add_field(std::string_view line, AreaBytes& sums) {
  for (const auto& [name, sum] : kFields) {
    if (const auto bytes = bytes_of_field(line, name)) return add(sums.*sum, *bytes);
  }
  for (const std::string_view name : {"FilePmdMapped", "ShmemPmdMapped"}) {
    if (const auto bytes = bytes_of_field(line, name))
      add(sums.huge.emplace(sums.huge.value_or(0)), *bytes);
  }
}

}  // namespace

std::optional<MemoryArea> parse_area(std::string_view line) {
  MemoryArea area;
  const auto begin = take_number(line, 16);
  if (!begin || !take_letter(line, '-')) return std::nullopt;
  const auto end = take_number(line, 16);
  if (!end || *end < *begin || !take_letter(line, ' ')) return std::nullopt;
  area.begin = *begin;
  area.end = *end;
  skip_word(line);  // permissions
  skip_word(line);  // offset
  return take_file(line, area) ? std::optional(area) : std::nullopt;
}

std::optional<std::uint64_t> bytes_of_field(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(name.size());
  if (!take_letter(line, ':')) return std::nullopt;
  skip_blanks(line);
  const auto kib = take_number(line, 10);
  if (!kib || line != " kB") return std::nullopt;
  return checked_mul(*kib, std::uint64_t{1024});
}

void AreaSums::take(std::string_view line) {
  if (const auto area = parse_area(line)) {
    into_ = choose_(*area);
    if (into_ != nullptr) add(into_->mapped, area->end - area->begin);
  } else if (into_ != nullptr) {
    add_field(line, *into_);
  }
}

}  // namespace weightmap::io
