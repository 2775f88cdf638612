// SPDX-License-Identifier: Apache-2.0
#include "io/page_cache.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "io/memory_area.h"
#include "io/read_lines.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kHugeBytes = std::uint64_t{2} << 20U;
constexpr long kCachestat = 451;  // which older headers lack

// As the kernel fills it in: pages.
struct CacheStat {
  std::uint64_t cached = 0;
  std::uint64_t dirty = 0;
  std::uint64_t writeback = 0;
  std::uint64_t evicted = 0;
  std::uint64_t recently_evicted = 0;
};

long cachestat(int descriptor, CacheStat& pages) {
  std::array<std::uint64_t, 2> whole_file{};  // from 0, to the end
  return ::syscall(kCachestat, descriptor, whole_file.data(), &pages, 0);
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

std::uint64_t round_up(std::uint64_t size, std::uint64_t unit) {
  return (size + unit - 1) / unit * unit;
}

// mincore says of every page that it is there where the caller neither owns the file nor may write
// to it, and cachestat then refuses.
bool tells(const File& file) {
  CacheStat counted;
  if (cachestat(file.descriptor(), counted) != 0 && errno == EPERM) return false;
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) return false;
  if (::geteuid() == 0 || ::geteuid() == status.st_uid) return true;
  return ::faccessat(file.descriptor(), "", W_OK, AT_EACCESS | AT_EMPTY_PATH) == 0;
}

// A mapping that is only there to be looked at.
class CacheLook {
 public:
  CacheLook(const MappedFile& own, std::size_t most_cells)
      : own_(own), cell_bytes_(cell_size(own.bytes().size(), most_cells)) {
    found_.cell_bytes = cell_bytes_;
    found_.cells.resize((own.bytes().size() + cell_bytes_ - 1) / cell_bytes_);
  }

  static std::uint64_t cell_size(std::uint64_t size, std::size_t most_cells) {
    const std::uint64_t least = std::max<std::uint64_t>((size + most_cells - 1) / most_cells, 1);
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return round_up(least, least > kHugeBytes ? kHugeBytes : page);
  }

  // Errors: kIo.
  Result<CacheCells> look() {
    stay_as_it_is();
    const bool has_pieces = divide();
    const Result<void> looked =
        CachedRuns(own_).for_each([this](std::uint64_t offset, std::uint64_t size) {
          add(offset, size, [](CachedBytes& cell) -> std::uint64_t& { return cell.cached; });
          return touch_blocks(offset, size);
        });
    if (!looked) return looked.error();
    if (has_pieces) count_huge();
    return std::move(found_);
  }

 private:
  // A touch is to bring in nothing: neither what lies around nor, where the readers before have
  // left a mark, what comes after.
  void stay_as_it_is() const { ::madvise(address(0), own_.bytes().size(), MADV_RANDOM); }

  // The kernel counts huge pages by mapping, so there is one a piece: neighbours differ in what a
  // child process would inherit.
  bool divide() const {
    const std::uint64_t size = own_.bytes().size();
    for (std::uint64_t begin = piece_bytes(); begin < size; begin += 2 * piece_bytes()) {
      const std::uint64_t bytes = std::min(piece_bytes(), size - begin);
      if (::madvise(address(begin), bytes, MADV_DONTFORK) != 0) return false;
    }
    return true;
  }

  // What is in the page cache as one huge page is mapped whole by the touch of its first one.
  Result<void> touch_blocks(std::uint64_t offset, std::uint64_t size) const {
    const std::uint64_t end = offset + size;
    for (auto block = round_up(offset, kHugeBytes); block + kHugeBytes <= end;
         block += kHugeBytes) {
      Result<void> there = own_.prefault(block, 1);
      if (!there) return there;
    }
    return {};
  }

  // Without /proc, or where it does not tell, cells keep theirs open.
  void count_huge() {
    std::vector<AreaBytes> pieces((own_.bytes().size() + piece_bytes() - 1) / piece_bytes());
    AreaSums sums([&](const MemoryArea& area) -> AreaBytes* {
      const std::uint64_t offset = area.begin - reinterpret_cast<std::uintptr_t>(address(0));
      return offset < own_.bytes().size() ? &pieces[offset / piece_bytes()] : nullptr;
    });
    read_lines(AT_FDCWD, "/proc/self/smaps", [&](std::string_view line) { sums.take(line); });
    const bool is_told =
        std::ranges::all_of(pieces, [](const AreaBytes& piece) { return piece.huge.has_value(); });
    if (!is_told) return;
    for (CachedBytes& cell : found_.cells)
      cell.huge = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const std::uint64_t begin = i * piece_bytes();
      add(begin, std::min(*pieces[i].huge, own_.bytes().size() - begin),
          [](CachedBytes& cell) -> std::uint64_t& { return *cell.huge; });
    }
    for (CachedBytes& cell : found_.cells)
      cell.huge = std::min(*cell.huge, cell.cached);
  }

  // Adds a range to a number of each cell that it lies in.
  template <typename Number>
  void add(std::uint64_t offset, std::uint64_t size, const Number& number) {
    while (size > 0) {
      const std::uint64_t cell = offset / cell_bytes_;
      const std::uint64_t part = std::min(size, (cell + 1) * cell_bytes_ - offset);
      number(found_.cells[cell]) += part;
      offset += part;
      size -= part;
    }
  }

  // A cell, or what several lie in.
  std::uint64_t piece_bytes() const { return std::max(cell_bytes_, kHugeBytes); }

  std::byte* address(std::uint64_t offset) const {
    return const_cast<std::byte*>(own_.bytes().data()) + offset;
  }

  const MappedFile& own_;
  const std::uint64_t cell_bytes_;
  CacheCells found_;
};

CacheCells all_there(std::uint64_t size, std::size_t most_cells) {
  CacheCells cells{.cell_bytes = CacheLook::cell_size(size, most_cells)};
  for (std::uint64_t begin = 0; begin < size; begin += cells.cell_bytes)
    cells.cells.push_back({std::min(cells.cell_bytes, size - begin), 0});
  return cells;
}

}  // namespace

Result<std::optional<CacheCells>> look_along_cache(const MappedFile& file, std::size_t most_cells) {
  if (!file.file() || file.bytes().empty()) {
    return std::optional(all_there(file.bytes().size(), most_cells));
  }
  if (!tells(*file.file())) return std::optional<CacheCells>();
  const Result<MappedFile> own = MappedFile::map(*file.file(), {.huge_pages = false});
  if (!own) return own.error();
  Result<CacheCells> cells = CacheLook(*own, most_cells).look();
  if (!cells) return cells.error();
  return std::optional(std::move(*cells));
}

Result<CachedBytes> look_into_cache(const MappedFile& file) {
  const Result<std::optional<CacheCells>> found = look_along_cache(file, 1);
  if (!found) return found.error();
  if (!*found) return CachedBytes{file.bytes().size(), std::nullopt};
  return (*found)->cells.empty() ? CachedBytes{0, 0} : (*found)->cells[0];
}

std::optional<CacheCounts> count_cached(const MappedFile& file) {
  CacheStat pages;
  if (!file.file() || cachestat(file.file()->descriptor(), pages) != 0) return std::nullopt;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return CacheCounts{.cached = pages.cached * page,
                     .dirty = pages.dirty * page,
                     .writeback = pages.writeback * page,
                     .evicted = pages.evicted * page,
                     .recently_evicted = pages.recently_evicted * page};
}

Result<void> drop_from_cache(const MappedFile& file) {
  if (!file.file()) return {};
  const int descriptor = file.file()->descriptor();
  if (!sync_file(descriptor)) {
    return system_error(file.path(), "cannot write to the disk what is not there yet", errno);
  }
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  return {};
}

}  // namespace weightmap::io
