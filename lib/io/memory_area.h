// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

// The text of /proc/PID/maps and /proc/PID/smaps, line by line. What is not understood is skipped:
// kernels add lines and fields.
namespace weightmap::io {

// One mapping of a process.
struct MemoryArea {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t device = 0;  // as makedev(3) makes it
  std::uint64_t inode = 0;   // 0: of no file
  // As the kernel shows it: a newline as \012, and " (deleted)" after the path of a file that has
  // lost its name. Valid as the line is.
  std::string_view path;
};

// "7f0000000000-7f0040000000 r--s 00000000 fe:00 1234    /model.wmap"
std::optional<MemoryArea> parse_area(std::string_view line);

// "Rss:      56 kB": the bytes of a line of this name.
std::optional<std::uint64_t> bytes_of_field(std::string_view line, std::string_view name);

// What a process has of some mappings, as smaps says it.
struct AreaBytes {
  std::uint64_t mapped = 0;
  std::uint64_t rss = 0;
  std::uint64_t pss = 0;
  std::uint64_t shared_clean = 0;
  std::uint64_t shared_dirty = 0;
  std::uint64_t private_clean = 0;
  std::uint64_t private_dirty = 0;
  std::uint64_t anonymous = 0;
  std::uint64_t swap = 0;
  std::uint64_t locked = 0;
  // By pages of 2 MiB: of anonymous memory, of files (nothing: the kernel does not tell).
  std::uint64_t anonymous_huge = 0;
  std::optional<std::uint64_t> huge;
};

// Adds up what smaps says of chosen mappings.
class AreaSums {
 public:
  // Where the bytes of a mapping are added; null: nowhere.
  using Choose = std::function<AreaBytes*(const MemoryArea& area)>;
  explicit AreaSums(Choose choose) : choose_(std::move(choose)) {}

  void take(std::string_view line);

 private:
  Choose choose_;
  AreaBytes* into_ = nullptr;
};

}  // namespace weightmap::io
