// SPDX-License-Identifier: Apache-2.0
// Boost's own file_mapping opens without O_CLOEXEC and O_NONBLOCK, but mapped_region takes any
// class with `get_mapping_handle()`: ours hands it the descriptor that was opened and checked.
// The only exceptions that the library catches are Boost's, here.
#include "io/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>

#include "base/checked.h"
#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

namespace bip = boost::interprocess;

constexpr std::size_t kMemoryAlignment = 64;
constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, which older headers lack
static_assert(sizeof(std::size_t) == sizeof(std::uint64_t), "files are mapped as a whole");

class OpenedFile {
 public:
  explicit OpenedFile(int descriptor) : descriptor_(descriptor) {}
  bip::mapping_handle_t get_mapping_handle() const {
    return bip::ipcdetail::mapping_handle_from_file_handle(descriptor_);
  }

 private:
  int descriptor_;
};

}  // namespace

struct MappedFile::Region {
  bip::mapped_region pages;
};

MappedFile::MappedFile() = default;
MappedFile::~MappedFile() = default;
MappedFile::MappedFile(MappedFile&&) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&&) noexcept = default;

Result<MappedFile> MappedFile::map(File file, MapOptions options) {
  MappedFile mapped;
  mapped.path_ = file.path();
  const auto size = static_cast<std::size_t>(file.size_bytes());
  if (size > 0) {
    try {
      const OpenedFile handle(file.descriptor());
      mapped.region_ =
          std::make_unique<Region>(Region{bip::mapped_region(handle, bip::read_only, 0, size)});
    } catch (const bip::interprocess_exception& failure) {
      return system_error(file.path(), "cannot map", failure.get_native_error());
    }
    void* const address = mapped.region_->pages.get_address();
    // A hint; kernels without huge pages answer EINVAL, and the mapping is as good.
    if (options.huge_pages) ::madvise(address, size, MADV_HUGEPAGE);
    mapped.bytes_ = {static_cast<const std::byte*>(address), size};
  }
  mapped.file_ = std::move(file);
  return mapped;
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
  mapped.path_ = std::move(name);
  mapped.owner_ = std::move(owner);
  mapped.bytes_ = bytes;
  return mapped;
}

Result<void> MappedFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  if (file_) return file_->read_at(offset, into);
  if (!range_fits(offset, into.size(), bytes_.size())) {
    return Error(ErrorCode::kCorrupt, concat(path_, ": ends at byte ", bytes_.size(),
                                             ", asked for ", into.size(), " bytes at ", offset));
  }
  if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
  return {};
}

Result<void> MappedFile::prefault(std::uint64_t offset, std::uint64_t size) const {
  if (!region_ || size == 0) return {};
  const std::uint64_t page = bip::mapped_region::get_page_size();
  const std::uint64_t begin = offset - offset % page;
  auto* const address = static_cast<std::byte*>(region_->pages.get_address()) + begin;
  int failure = EINTR;
  while (failure == EINTR || failure == EAGAIN) {
    failure = ::madvise(address, offset + size - begin, kPopulateRead) == 0 ? 0 : errno;
  }
  if (failure == 0 || failure == EINVAL) return {};
  return Error(ErrorCode::kIo, concat(path_, ": bytes ", offset, " to ", offset + size,
                                      " cannot be read: the file was cut short or its disk fails"));
}

}  // namespace weightmap::io
