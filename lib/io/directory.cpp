// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

bool is_component(std::string_view name) {
  constexpr std::string_view kSeparators("/\0", 2);
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(kSeparators) == std::string_view::npos;
}

}  // namespace

Directory::Directory(Descriptor descriptor, std::string path)
    : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

Result<Directory> Directory::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, concat(quoted(path), ": a path holds no NUL byte"));
  }
  Descriptor opened(uninterrupted([&] {
    return system_calls().open_at(AT_FDCWD, path.c_str(),
                                  O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NONBLOCK, 0);
  }));
  if (!opened) return system_error(path, "cannot open", errno);
  return Directory(std::move(opened), path);
}

Result<Directory> Directory::containing(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return open(".");
  return open(slash == 0 ? "/" : path.substr(0, slash));
}

Result<File> Directory::open_file(std::string_view name) const {
  if (!is_component(name)) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(path_, ": ", quoted(name), " is not the name of a file in a directory"));
  }
  return File::open_in(descriptor_.get(), std::string(name),
                       path_ == "." ? std::string(name) : concat(path_, "/", name));
}

}  // namespace weightmap::io
