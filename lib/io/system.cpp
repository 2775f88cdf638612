// SPDX-License-Identifier: Apache-2.0
#include "io/system.h"

#include <cstdio>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

#include "base/text.h"

namespace weightmap::io {
namespace {

// The library's is variadic, and a pointer to it would not fit the table.
int open_at(int directory, const char* name, int flags, mode_t mode) {
  return ::openat(directory, name, flags, mode);
}

// strerror's words begin with a capital letter, our messages do not.
std::string error_text(int error_number) {
  std::string text = std::generic_category().message(error_number);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] += 'a' - 'A';
  return text;
}

}  // namespace

SystemCalls& system_calls() {
  static SystemCalls calls{.open_at = open_at,
                           .pread = ::pread,
                           .pwrite = ::pwrite,
                           .fallocate = ::fallocate,
                           .sync_file_range = ::sync_file_range,
                           .fsync = ::fsync,
                           .flock = ::flock,
                           .link_at = ::linkat,
                           .rename_at = ::renameat,
                           .unlink_at = ::unlinkat,
                           .fstatfs = ::fstatfs};
  return calls;
}

bool sync_file(int fd) {
  return uninterrupted([&] { return system_calls().fsync(fd); }) == 0;
}

// EINVAL: a file system, as CIFS, on which directories are not synced.
bool sync_directory(int fd) {
  return sync_file(fd) || errno == EINVAL;
}

Error system_error(std::string_view path, std::string_view action, int error_number) {
  const bool missing = error_number == ENOENT || error_number == ENOTDIR;
  return {missing ? ErrorCode::kNotFound : ErrorCode::kIo,
          concat(path, ": ", action, ": ", error_text(error_number))};
}

std::string_view file_type_text(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    case S_IFLNK: return "a symbolic link";
    default: return "a special file";
  }
}

}  // namespace weightmap::io
