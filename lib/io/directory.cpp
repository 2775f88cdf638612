// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
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

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

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

Result<std::vector<std::string>> Directory::names() const {
  // A descriptor of its own: the place in a directory belongs to the open file.
  const int listing = uninterrupted([&] {
    return system_calls().open_at(descriptor_.get(), ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0);
  });
  const std::unique_ptr<DIR, CloseDirectory> stream(listing < 0 ? nullptr : ::fdopendir(listing));
  if (!stream) return system_error(path_, "cannot list", errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(stream.get())) {
    if (!is_component(entry->d_name)) continue;
    if (names.size() == kMaxNames) {
      return Error(ErrorCode::kUnsupported,
                   concat(path_, ": holds more than ", kMaxNames, " files"));
    }
    names.emplace_back(entry->d_name);
  }
  if (errno != 0) return system_error(path_, "cannot list", errno);
  std::ranges::sort(names);
  return names;
}

Result<File> Directory::open_file(std::string_view name) const {
  if (!is_component(name)) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(path_, ": ", quoted(name), " is not the name of a file in a directory"));
  }
  return File::open_in(descriptor_.get(), std::string(name),
                       path_ == "." ? std::string(name) : concat(path_, "/", name));
}

Result<void> Directory::sync() const {
  if (sync_directory(descriptor_.get())) return {};
  return system_error(path_, "cannot sync", errno);
}

}  // namespace weightmap::io
