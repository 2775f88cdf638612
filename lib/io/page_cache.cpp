// SPDX-License-Identifier: Apache-2.0
#include "io/page_cache.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

std::uintptr_t address(const std::byte* byte) {
  return reinterpret_cast<std::uintptr_t>(byte);
}

// Walks over what mincore says of a file, some pages at a time.
class CachedRuns {
 public:
  explicit CachedRuns(const MappedFile& file)
      : file_(file), page_bytes_(static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) {}

  // Tells `look` each cached range of bytes. Errors: kIo, and those of `look`.
  template <typename Look>
  Result<void> for_each(const Look& look) {
    const std::uint64_t size = file_.bytes().size();
    for (std::uint64_t begin = 0; begin < size; begin += kPages * page_bytes_) {
      const std::uint64_t bytes = std::min(size - begin, kPages * page_bytes_);
      auto* const start = const_cast<std::byte*>(file_.bytes().data()) + begin;
      if (::mincore(start, bytes, pages_.data()) != 0) {
        return system_error(file_.path(), "cannot ask for its pages", errno);
      }
      Result<void> looked = look_at(begin, bytes, look);
      if (!looked) return looked;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kPages = std::uint64_t{1} << 16U;

  template <typename Look>
  Result<void> look_at(std::uint64_t begin, std::uint64_t bytes, const Look& look) {
    const std::size_t count = (bytes + page_bytes_ - 1) / page_bytes_;
    const auto is_cached = [&](std::size_t page) { return (pages_[page] & 1U) != 0; };
    for (std::size_t page = 0; page < count;) {
      std::size_t end = page + 1;
      while (end < count && is_cached(end) == is_cached(page))
        ++end;
      const std::uint64_t from = page * page_bytes_;
      const std::uint64_t to = std::min(end * page_bytes_, bytes);
      if (is_cached(page)) {
        Result<void> looked = look(begin + from, to - from);
        if (!looked) return looked;
      }
      page = end;
    }
    return {};
  }

  const MappedFile& file_;
  const std::uint64_t page_bytes_;
  std::vector<unsigned char> pages_ = std::vector<unsigned char>(kPages);
};

// "ShmemPmdMapped:      2048 kB"
std::optional<std::uint64_t> bytes_of_line(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(std::min(line.find_first_of("0123456789"), line.size()));
  std::uint64_t kib = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), kib);
  return parsed.ec == std::errc{} ? std::optional(kib << 10U) : std::nullopt;
}

// "7f0000000000-7f0040000000 r--s 00000000 fe:00 1234 /model.wmap"
std::optional<std::uintptr_t> begin_of_area(std::string_view line) {
  std::uintptr_t begin = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
  const bool is_area =
      parsed.ec == std::errc{} && parsed.ptr != line.data() + line.size() && *parsed.ptr == '-';
  return is_area ? std::optional(begin) : std::nullopt;
}

// What this process has mapped by huge pages there. Nothing: /proc is not there, or does not tell.
std::optional<std::uint64_t> mapped_huge_bytes(std::span<const std::byte> bytes) {
  std::ifstream areas("/proc/self/smaps");
  std::optional<std::uint64_t> sum;
  bool is_inside = false;
  for (std::string line; std::getline(areas, line);) {
    if (const auto begin = begin_of_area(line)) {
      is_inside = *begin >= address(bytes.data()) && *begin < address(bytes.data()) + bytes.size();
    }
    for (const std::string_view name : {"FilePmdMapped:", "ShmemPmdMapped:"}) {
      const auto huge = is_inside ? bytes_of_line(line, name) : std::nullopt;
      if (huge) sum = sum.value_or(0) + *huge;
    }
  }
  return sum;
}

}  // namespace

Result<CachedBytes> look_into_cache(const MappedFile& file) {
  if (!file.file() || file.bytes().empty()) return CachedBytes{file.bytes().size(), 0};
  const Result<MappedFile> own = MappedFile::map(*file.file(), {.huge_pages = false});
  if (!own) return own.error();
  CachedBytes found;
  const Result<void> looked =
      CachedRuns(*own).for_each([&](std::uint64_t offset, std::uint64_t size) {
        found.cached += size;
        return own->prefault(offset, size);
      });
  if (!looked) return looked.error();
  found.huge = mapped_huge_bytes(own->bytes());
  if (found.huge) found.huge = std::min(*found.huge, found.cached);
  return found;
}

Result<void> drop_from_cache(const MappedFile& file) {
  if (!file.file()) return {};
  const int descriptor = file.file()->descriptor();
  if (uninterrupted([&] { return system_calls().fsync(descriptor); }) != 0) {
    return system_error(file.path(), "cannot write to the disk what is not there yet", errno);
  }
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

}  // namespace weightmap::io
