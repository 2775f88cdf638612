// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

#include "weightmap/error.h"

namespace weightmap::io {

// The system calls of this layer that tests must be able to make fail, as one table. The layer
// opens, reads and writes through `system_calls()` only.
struct SystemCalls {
  int (*open_at)(int directory, const char* name, int flags, mode_t mode);
  ssize_t (*pread)(int fd, void* bytes, std::size_t size, off_t offset);
  ssize_t (*pwrite)(int fd, const void* bytes, std::size_t size, off_t offset);
  int (*fallocate)(int fd, int mode, off_t offset, off_t size);
  int (*sync_file_range)(int fd, off_t offset, off_t size, unsigned flags);
  int (*fsync)(int fd);
  int (*flock)(int fd, int operation);
  int (*link_at)(int from_directory, const char* from, int to_directory, const char* to, int flags);
  int (*rename_at)(int from_directory, const char* from, int to_directory, const char* to);
  int (*unlink_at)(int directory, const char* name, int flags);
  int (*fstatfs)(int fd, struct statfs* status);
};

// The table in force; the kernel's own unless a test replaced it. Not safe to replace while
// another thread reads or writes files.
SystemCalls& system_calls();

// Repeats a system call for as long as signals interrupt it.
template <typename Call>
auto uninterrupted(const Call& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// fsync(2). False: errno tells why not.
bool sync_file(int fd);

// The same of the names in a directory; true where the file system cannot be asked to.
bool sync_directory(int fd);

// "<path>: <action>: <the system's words for the error number>", kNotFound where the words say
// that there is no such file, else kIo.
Error system_error(std::string_view path, std::string_view action, int error_number);

// "a directory", "a FIFO" ...: what lies where a regular file should.
std::string_view file_type_text(mode_t mode);

}  // namespace weightmap::io
