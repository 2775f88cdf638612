// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"

#include "io/descriptor.h"
#include "io/file.h"

namespace weightmap::io {

// The path behind all links, as it is where nothing has that name.
// Errors: kNotFound (a link that leads nowhere), kIo.
Result<std::string> real_path(const std::string& path);

// The path, and if a link has that name the one that it leads to, and so on.
std::vector<std::string> names_from(const std::string& path);

// Where a file is to appear: an open directory and a name in it, links followed, and the name of
// the temporary beside it by which writers of one target keep out of each other's way.
struct WriteTarget {
  std::string path;  // as the user gave it, for messages
  std::string real;  // the same with links followed
  Descriptor directory;
  std::string name;
  std::string temporary;

  // What is to be replaced, if anything. It is held open so that its inode number is not given
  // to another file meanwhile.
  Descriptor previous;
  std::optional<FileIdentity> previous_identity;

  // Errors: kNotFound (no such directory, a link that leads nowhere), kInvalidArgument (no name of
  // a file, or of something that is not a regular file), kIo.
  static Result<WriteTarget> resolve(const std::string& path);

  // Of another name in the same directory, a link not followed: for a file that replaces none.
  Result<WriteTarget> beside(const std::string& other_name) const;

  // What carries the name in the directory, a link not followed.
  Result<std::optional<FileIdentity>> identity_of(const std::string& entry) const;

  // Whether the entry of the directory is this very file.
  bool carries(const std::string& entry, const Descriptor& file) const;

  // Removes the temporary of a writer that died; nothing to do when there is none.
  // Errors: kIo when another writer is at work, or what lies there is not a writer's.
  Result<void> remove_stale_temporary() const;

  Error busy() const;  // kIo: another process writes this target
};

enum class FileLock { kTaken, kHeldByOther, kUnsupported };

// Without waiting; the lock ends with the last descriptor of this opening of the file.
// kUnsupported: a file system without locks, as Lustre mounted without `flock`.
FileLock take_lock(const Descriptor& file);

}  // namespace weightmap::io
