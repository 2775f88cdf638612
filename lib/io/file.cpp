// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <utility>

#include "base/checked.h"
#include "base/path_text.h"
#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kLargestOffset = std::numeric_limits<off_t>::max();

Error not_a_regular_file(const std::string& path, mode_t mode) {
  return {ErrorCode::kInvalidArgument,
          concat(path, ": is ", file_type_text(mode), ", not a regular file")};
}

// The kernel opens no socket and no device without a driver: ENXIO, "no such device or address".
Error open_error(int directory, const std::string& name, const std::string& path) {
  const int error_number = errno;
  struct stat status {};
  if (error_number == ENXIO && ::fstatat(directory, name.c_str(), &status, 0) == 0) {
    return not_a_regular_file(path, status.st_mode);
  }
  return system_error(path, "cannot open", error_number);
}

Error cut_short(const std::string& path, std::uint64_t size, std::uint64_t wanted_end) {
  return {ErrorCode::kCorrupt,
          concat(path, ": ends at byte ", size, ", expected at least ", wanted_end, " bytes")};
}

FileState state_of(const struct stat& status) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return {.size_bytes = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec};
}

}  // namespace

Result<FoundFile> file_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_error(path, "cannot stat", errno);
  return FoundFile{.identity = {.device = status.st_dev, .inode = status.st_ino},
                   .state = state_of(status)};
}

Result<FileIdentity> directory_identity_of(const std::string& path) {
  const std::string directory(directory_prefix(path));
  const Result<FoundFile> found = file_at(directory.empty() ? "." : directory);
  if (!found) return found.error();
  return found->identity;
}

File::File(Descriptor descriptor, std::string path)
    : descriptor_(std::make_shared<const Descriptor>(std::move(descriptor))),
      path_(std::move(path)) {}

Result<File> File::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, concat(quoted(path), ": a path holds no NUL byte"));
  }
  return open_in(AT_FDCWD, path, path);
}

Result<File> File::open_in(int directory, const std::string& name, const std::string& path) {
  Descriptor opened(uninterrupted([&] {
    return system_calls().open_at(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  }));
  if (!opened) return open_error(directory, name, path);
  return checked(std::move(opened), path);
}

Result<File> File::from_descriptor(int descriptor, std::string name) {
  Descriptor duplicate(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!duplicate) return system_error(name, "cannot duplicate the descriptor", errno);
  return checked(std::move(duplicate), std::move(name));
}

Result<File> File::checked(Descriptor descriptor, std::string path) {
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return system_error(path, "cannot stat", errno);
  if (!S_ISREG(status.st_mode)) return not_a_regular_file(path, status.st_mode);
  File file(std::move(descriptor), std::move(path));
  file.size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  file.identity_ = {.device = status.st_dev, .inode = status.st_ino};
  file.state_at_open_ = state_of(status);
  return file;
}

Result<FileState> File::state_now() const {
  struct stat status {};
  if (::fstat(descriptor(), &status) != 0) return system_error(path_, "cannot stat", errno);
  return state_of(status);
}

File File::slice(std::uint64_t offset_bytes, std::uint64_t size_bytes) const {
  assert(range_fits(offset_bytes, size_bytes, size_bytes_));
  File part = *this;
  part.path_ = concat(path_, ": bytes ", offset_bytes, " to ", offset_bytes + size_bytes);
  part.begin_bytes_ = begin_bytes_ + offset_bytes;
  part.is_slice_ = true;
  part.size_bytes_ = size_bytes;
  return part;
}

// A file may have grown since it was opened, a slice does not.
Result<void> File::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  if (!range_fits(offset, into.size(), is_slice_ ? size_bytes_ : kLargestOffset)) {
    return Error(ErrorCode::kCorrupt,
                 concat(path_, ": ends at byte ", size_bytes_, ", asked for byte ", offset));
  }
  offset += begin_bytes_;
  const std::uint64_t end = offset + into.size();
  while (!into.empty()) {
    const ssize_t got = uninterrupted([&] {
      return system_calls().pread(descriptor(), into.data(), into.size(),
                                  static_cast<off_t>(offset));
    });
    if (got < 0) {
      return system_error(path_, concat("cannot read ", into.size(), " bytes at ", offset), errno);
    }
    if (got == 0) return cut_short(path_, offset, end);
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace weightmap::io
