// SPDX-License-Identifier: Apache-2.0
#include "io/control_block.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <boost/interprocess/mapped_region.hpp>

#include "base/text.h"
#include "io/file_system.h"
#include "io/futex.h"
#include "io/map_region.h"
#include "io/system.h"
#include "io/write_target.h"

namespace weightmap::io {
namespace {

namespace bip = boost::interprocess;

constexpr std::string_view kMagic = "\x89WMGEN\r\n";
constexpr std::uint32_t kLayout = 1;

std::string octal(mode_t mode) {
  std::string digits;
  for (unsigned shift = 12; shift > 0; shift -= 3)
    digits += static_cast<char>('0' + ((mode >> (shift - 3)) & 7U));
  return digits;
}

// Who may write the block could as well write the weight file, or is who asks.
Result<void> check_rights(const struct stat& block,
                          const std::optional<struct stat>& weights,
                          const std::string& path) {
  const bool is_owned = block.st_uid == ::geteuid() || block.st_uid == 0 ||
                        (weights && block.st_uid == weights->st_uid);
  constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;
  const mode_t allowed = weights ? weights->st_mode & kOthersWrite : 0;
  if (is_owned && (block.st_mode & kOthersWrite & ~allowed) == 0) return {};
  return Error(ErrorCode::kIo, concat(path, ": belongs to user ", block.st_uid, " with mode ",
                                      octal(block.st_mode), ", expected user ", ::geteuid(),
                                      ", 0 or the weight file's owner, and to be "
                                      "writable by others only if the weight file is"));
}

// Where a file is better read than mapped, one process may not see what another writes to memory.
Result<void> check_file_system(const Descriptor& file, const std::string& path) {
  const FileSystem system = file_system_of(file.get());
  if (system.objection.empty()) return {};
  return Error(ErrorCode::kUnsupported,
               concat(path, ": lies on ", system.name,
                      ", where one process may not see what another writes"));
}

Result<struct stat> check_file(const Descriptor& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(path, "cannot stat", errno);
  if (!S_ISREG(status.st_mode)) {
    return Error(ErrorCode::kCorrupt,
                 concat(path, ": is ", file_type_text(status.st_mode), ", not a control block"));
  }
  if (status.st_size == kControlBlockBytes) return status;
  return Error(ErrorCode::kCorrupt, concat(path, ": has ", status.st_size,
                                           " bytes, a control block ", kControlBlockBytes));
}

std::optional<struct stat> status_of(const Descriptor& file) {
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return std::nullopt;
  return status;
}

}  // namespace

struct ControlBlock::Region {
  bip::mapped_region pages;
};

struct ControlBlock::Fields {
  using Word = std::atomic<std::uint64_t>;
  static_assert(Word::is_always_lock_free);

  std::array<char, 8> magic;
  std::uint32_t layout;
  std::uint32_t reserved;
  Word counter;
  std::uint64_t reserved_too;
  std::array<std::array<Word, 2>, 2> digests;  // of even generations, of odd ones
};

ControlBlock::ControlBlock() = default;
ControlBlock::~ControlBlock() = default;
ControlBlock::ControlBlock(ControlBlock&&) noexcept = default;
ControlBlock& ControlBlock::operator=(ControlBlock&&) noexcept = default;

std::string control_block_name(std::string_view weight_file_name) {
  return concat(weight_file_name, ".generation");
}

std::string new_control_block() {
  std::string bytes(kControlBlockBytes, '\0');
  bytes.replace(0, kMagic.size(), kMagic);
  bytes[kMagic.size()] = static_cast<char>(kLayout);
  return bytes;
}

Result<ControlBlock> ControlBlock::map(const Descriptor& file,
                                       const std::string& path,
                                       const Descriptor& weight_file,
                                       Access access) {
  const Result<struct stat> status = check_file(file, path);
  if (!status) return status.error();
  const Result<void> rights = check_rights(*status, status_of(weight_file), path);
  if (!rights) return rights.error();
  ControlBlock block;
  block.identity_ = {.device = status->st_dev, .inode = status->st_ino};
  const auto mode = access == Access::kWrite ? bip::read_write : bip::read_only;
  Result<bip::mapped_region> pages = map_region(file.get(), path, mode, kControlBlockBytes);
  if (!pages) return pages.error();
  block.region_ = std::make_unique<Region>(Region{std::move(*pages)});
  const Fields& fields = block.fields();
  if (std::string_view(fields.magic.data(), fields.magic.size()) != kMagic) {
    return Error(ErrorCode::kCorrupt, concat(path, ": is no control block"));
  }
  if (fields.layout == kLayout) return block;
  return Error(ErrorCode::kUnsupported, concat(path, ": is a control block of layout ",
                                               fields.layout, ", known is ", kLayout));
}

ControlBlock::Fields& ControlBlock::fields() const {
  static_assert(sizeof(Fields) == 64 && alignof(Fields) == 8, "FORMAT.md 11");
  return *static_cast<Fields*>(region_->pages.get_address());
}

std::uint64_t ControlBlock::counter() const {
  return fields().counter.load(std::memory_order_acquire);
}

Digest ControlBlock::digest(std::uint64_t generation) const {
  const auto& words = fields().digests[generation % 2];
  const std::array<std::uint64_t, 2> found{words[0].load(std::memory_order_acquire),
                                           words[1].load(std::memory_order_acquire)};
  Digest digest;
  std::memcpy(digest.bytes.data(), found.data(), digest.bytes.size());
  return digest;
}

void ControlBlock::wait_while(std::uint64_t counter, std::chrono::milliseconds at_most) const {
  io::wait_while(fields().counter, counter, at_most);
}

void ControlBlock::set_counter(std::uint64_t counter) {
  fields().counter.store(counter, std::memory_order_seq_cst);
  wake_all(fields().counter);
}

void ControlBlock::set_digest(std::uint64_t generation, const Digest& digest) {
  std::array<std::uint64_t, 2> given{};
  std::memcpy(given.data(), digest.bytes.data(), digest.bytes.size());
  auto& words = fields().digests[generation % 2];
  words[0].store(given[0], std::memory_order_release);
  words[1].store(given[1], std::memory_order_release);
}

Result<FoundBlock> find_control_block(const std::string& weight_file_path) {
  const Result<std::string> real = real_path(weight_file_path);
  if (!real) return real.error();
  const std::string path = control_block_name(*real);
  const auto open_at = [](const std::string& name, int flags) {
    return Descriptor(uninterrupted([&] {
      return system_calls().open_at(AT_FDCWD, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0);
    }));
  };
  FoundBlock found;
  const Descriptor file = open_at(path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (errno != ENOENT) found.problem = system_error(path, "cannot open", errno);
    return found;
  }
  Result<void> usable = check_file_system(file, path);
  if (usable) {
    auto block = ControlBlock::map(file, path, open_at(*real, O_PATH), ControlBlock::Access::kRead);
    if (block) found.block.emplace(std::move(*block));
    if (!block) usable = block.error();
  }
  if (!usable) found.problem = usable.error();
  return found;
}

}  // namespace weightmap::io
