// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "io/control_block.h"
#include "io/descriptor.h"
#include "io/file.h"
#include "io/write_target.h"

namespace weightmap::io {

// A file that is to take another's place, under the name that it has now.
struct Successor {
  std::string path;
  Descriptor directory;
  std::string name;
  File file;
  std::vector<File> data_files;  // that it needs beside it, to be synced with it

  // Errors: kNotFound, kIo; kInvalidArgument: no regular file, or a link to one.
  static Result<Successor> open(const std::string& path);

  // Error: kInvalidArgument, a rename to there cannot be.
  Result<void> check_file_system(const WriteTarget& target) const;

  // No other file took its name since, nor one of its data files'. Errors: kNotFound, kIo.
  Result<void> check_names() const;
};

// The right to publish under one name. The lock is the kernel's, on the control block itself: it
// ends with the process, whatever ends that. Movable; for one thread at a time.
class PublisherLock {
 public:
  // Asked now and then while another process publishes: false ends the waiting.
  using KeepWaiting = std::function<bool()>;

  // Makes the control block if there is none. Errors: kIo, also when another process publishes and
  // there is no `keep_waiting`; kCancelled: it ended the waiting; those of ControlBlock::map, for a
  // block that is not to be trusted.
  static Result<PublisherLock> take(const WriteTarget& target, const KeepWaiting& keep_waiting);

  // That of the last publish that was completed.
  std::uint64_t generation() const { return generation_of(block_.counter()); }

  // Whether this is the lock of what has the target's name now. Error: kIo, it is not: a link was
  // turned since, or the block removed.
  Result<void> check_held(const WriteTarget& target) const;

  // The digest of the file that is there before the first publish, or came without one. Readers
  // need it to tell that file from the next one.
  bool knows_current() const;
  void tell_current(const Digest& digest);

  // A publisher died at work: what it left, old or new, becomes a generation.
  bool is_unfinished() const { return is_publishing(block_.counter()); }
  void finish(const Digest& digest_of_target);

  // Gives the successor the target's name, and its owner (where that is allowed) and permissions if
  // there is one, which it loses again when this fails. `sync`: the bytes of the successor and of
  // its data files, and the names of those, are on the disk before, its own name afterwards.
  // Returns the generation.
  // Errors: kIo; kNotFound, a data file is gone; kInvalidArgument, another file system; the target
  // is then the old one, and the message is about the file that it names first. Only when
  // the directory at last cannot be synced it is the new one, and the message says so; and when
  // another file came under one of the names at the last moment it may be that one.
  // REQUIRES: !is_unfinished(), and check_held(target).
  Result<std::uint64_t> replace(const WriteTarget& target,
                                const Successor& successor,
                                const Digest& digest,
                                bool sync);

 private:
  PublisherLock(Descriptor file, ControlBlock block);
  Error tell_stranger(const WriteTarget& target, const Successor& successor);

  Descriptor file_;
  ControlBlock block_;
};

}  // namespace weightmap::io
