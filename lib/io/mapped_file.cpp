// SPDX-License-Identifier: Apache-2.0
#include "io/mapped_file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#include <boost/interprocess/mapped_region.hpp>

#include "base/checked.h"
#include "base/text.h"
#include "io/map_region.h"
#include "io/read_by_threads.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

namespace bip = boost::interprocess;

constexpr std::size_t kMemoryAlignment = 64;
constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, which older headers lack
static_assert(sizeof(std::size_t) == sizeof(std::uint64_t), "files are mapped as a whole");

}  // namespace

// What the bytes lie in, and what was done to it.
struct MappedFile::Region {
  bip::mapped_region pages;  // of the file, if it is mapped
  bool is_writable = false;
  std::unique_ptr<FaultGuard> guard;  // ends before the pages do
  std::shared_ptr<const void> owner;  // of memory
  std::span<const std::byte> locked;  // once is_locked says so
  std::atomic<bool> is_locked = false;

  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region() {
    // A mapping takes its lock with it, memory that goes back to the heap does not.
    if (is_locked.load() && pages.get_size() == 0) ::munlock(locked.data(), locked.size());
  }
};

MappedFile::MappedFile() : region_(std::make_unique<Region>()) {}
MappedFile::~MappedFile() = default;
MappedFile::MappedFile(MappedFile&&) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&&) noexcept = default;

Result<MappedFile> MappedFile::map(File file, MapOptions options) {
  MappedFile mapped;
  if (file.size_bytes() > 0) {
    const Result<void> made = mapped.map_region(file, options);
    if (!made) return made.error();
  }
  mapped.file_ = std::move(file);
  return mapped;
}

// MAP_NORESERVE: what a private mapping may come to need is not set aside, for a file may be larger
// than the memory.
Result<void> MappedFile::map_region(const File& file, const MapOptions& options) {
  const bool is_writable = options.sharing == Sharing::kPrivate;
  const auto size = static_cast<std::size_t>(file.size_bytes());
  const bip::map_options_t more = is_writable ? MAP_NORESERVE : bip::default_map_options;
  const bip::mode_t mode = is_writable ? bip::copy_on_write : bip::read_only;
  Result<bip::mapped_region> pages =
      io::map_region(file.descriptor(), file.path(), mode, size, more);
  if (!pages) return pages.error();
  region_->pages.swap(*pages);
  region_->is_writable = is_writable;
  void* const address = region_->pages.get_address();
  bytes_ = {static_cast<const std::byte*>(address), size};
  // A hint; kernels without huge pages answer EINVAL, and the mapping is as good.
  if (options.huge_pages) ::madvise(address, size, MADV_HUGEPAGE);
  if (!options.guard) return {};
  Result<std::unique_ptr<FaultGuard>> guard = FaultGuard::watch(bytes_, is_writable);
  if (!guard) return guard.error().with_context(file.path());
  region_->guard = std::move(*guard);
  return {};
}

MappedFile MappedFile::unread(File file) {
  MappedFile unread;
  unread.file_ = std::move(file);
  return unread;
}

Result<MappedFile> MappedFile::copy(File file,
                                    const std::function<bool(std::uint64_t done_bytes)>& go_on) {
  Result<PrivateBytes> memory = read_by_threads(file, go_on);
  if (!memory) return memory.error();
  const auto owner = std::make_shared<PrivateBytes>(std::move(*memory));
  MappedFile copied;
  copied.bytes_ = owner->bytes();
  copied.region_->owner = owner;
  copied.file_ = std::move(file);
  return copied;
}

std::span<std::byte> MappedFile::writable_bytes() const {
  if (!region_->is_writable) return {};
  return {static_cast<std::byte*>(region_->pages.get_address()), bytes_.size()};
}

Result<MappedFile> MappedFile::from_memory(std::span<const std::byte> bytes,
                                           std::shared_ptr<const void> owner,
                                           std::string name) {
  const auto beyond = reinterpret_cast<std::uintptr_t>(bytes.data()) % kMemoryAlignment;
  if (beyond != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(name, ": the memory is not ", kMemoryAlignment,
                        "-byte aligned, its address is ", beyond, " bytes beyond"));
  }
  MappedFile mapped;
  mapped.name_ = std::move(name);
  mapped.region_->owner = std::move(owner);
  mapped.bytes_ = bytes;
  return mapped;
}

Result<void> MappedFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  if (file_) return file_->read_at(offset, into);
  if (!range_fits(offset, into.size(), bytes_.size())) {
    return Error(ErrorCode::kCorrupt, concat(path(), ": ends at byte ", bytes_.size(),
                                             ", asked for ", into.size(), " bytes at ", offset));
  }
  if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
  return {};
}

const FaultGuard* MappedFile::guard() const {
  return region_->guard.get();
}

bool MappedFile::is_mapping() const {
  return region_->pages.get_size() > 0;
}

// From the beginning of its first page.
std::span<std::byte> MappedFile::pages_of(std::uint64_t offset, std::uint64_t size) const {
  const std::uint64_t begin = offset - offset % bip::mapped_region::get_page_size();
  return {static_cast<std::byte*>(region_->pages.get_address()) + begin, offset + size - begin};
}

Result<void> MappedFile::prefault(std::uint64_t offset, std::uint64_t size) const {
  if (!is_mapping() || size == 0) return {};
  const std::span<std::byte> pages = pages_of(offset, size);
  int failure = EINTR;
  while (failure == EINTR || failure == EAGAIN) {
    failure = ::madvise(pages.data(), pages.size(), kPopulateRead) == 0 ? 0 : errno;
  }
  if (failure == 0 || failure == EINVAL) return {};
  return Error(ErrorCode::kIo, concat(path(), ": bytes ", offset, " to ", offset + size,
                                      " cannot be read: the file was cut short or its disk fails"));
}

Result<void> MappedFile::lock() const {
  if (bytes_.empty() || region_->is_locked.load()) return {};
  // What brings in the pages of a writable mapping by itself copies every one of them.
  if (Result<void> there = prefault(0, bytes_.size()); !there) return there;
  const unsigned flags = region_->is_writable ? MLOCK_ONFAULT : 0;
  if (::mlock2(bytes_.data(), bytes_.size(), flags) != 0) {
    return system_error(path(), concat("cannot lock ", bytes_.size(), " bytes in memory"), errno);
  }
  region_->locked = bytes_;
  region_->is_locked.store(true);
  return {};
}

std::uint64_t MappedFile::locked_bytes() const {
  return region_->is_locked.load() ? bytes_.size() : 0;
}

Result<void> MappedFile::release(std::uint64_t offset, std::uint64_t size) const {
  if (!is_mapping() || size == 0) return {};
  const std::span<std::byte> pages = pages_of(offset, size);
  if (::madvise(pages.data(), pages.size(), MADV_DONTNEED) == 0) return {};
  return system_error(path(), "cannot release pages", errno);
}

}  // namespace weightmap::io
