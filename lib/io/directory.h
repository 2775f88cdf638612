// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "io/descriptor.h"
#include "io/file.h"

namespace weightmap::io {

// A directory in which files are looked up by name: it stays the same one when its path is given to
// another. Owns its descriptor. Movable; safe for several threads.
class Directory {
 public:
  // Errors: kNotFound (among them: it is no directory), kIo. Messages begin with the path.
  static Result<Directory> open(const std::string& path);

  // The directory that the file of this path lies in; a link in the last component stays one.
  static Result<Directory> containing(const std::string& path);

  const std::string& path() const { return path_; }

  // The names in it but `.` and `..`, ascending. Errors: kIo; kUnsupported for more than kMaxNames.
  static constexpr std::size_t kMaxNames = 1'000'000;
  Result<std::vector<std::string>> names() const;

  // A regular file of this name, opened without blocking; a link is followed. Names that come from
  // files are safe here. Errors: kInvalidArgument when the name is not one path component (empty,
  // `.`, `..`, with a slash or NUL) or no regular file; those of File::open.
  Result<File> open_file(std::string_view name) const;

  // Brings the names in it to the disk, where the file system can be asked to. Error: kIo.
  Result<void> sync() const;

 private:
  Directory(Descriptor descriptor, std::string path);

  Descriptor descriptor_;
  std::string path_;
};

}  // namespace weightmap::io
