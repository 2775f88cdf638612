// SPDX-License-Identifier: Apache-2.0
#include "io/page_cache.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/text.h"
#include "io/mapped_pages.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

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
  found.huge = mapped_pages(own->bytes()).huge_bytes;
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
