// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "weightmap/digest.h"
#include "weightmap/result.h"

// A new weight file takes the place of one that other processes have open. live.h is their side.
namespace weightmap {

struct PublishOptions {
  bool verify = true;  // every byte against its digest before, as WeightFile::verify
  // On the disk, with the data files beside it, before the name changes, and the name before it
  // returns.
  bool sync = true;
  // While another process publishes this is called now and then, and as long as it says true that
  // one is waited for; false: kCancelled, and nothing has changed. Without, another one that
  // publishes is an error. REQUIRES: this process has no Publisher of that name, which would be
  // waited for without end.
  std::function<bool()> keep_waiting;
  // Of verifying: as VerifyOptions::progress. False stops: kCancelled, and nothing has changed.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct PublishReport {
  std::uint64_t generation = 0;  // the new one's number
  bool replaced = false;         // there was a file of that name
  // A publisher before died between its first and its last step: what it left became a generation
  // of its own, the one before this.
  bool healed = false;
  std::uint64_t file_bytes = 0;
  std::uint64_t verified_bytes = 0;
  Digest digest;  // of the index: stands for the whole content
};

// Renames `new_path` to `current_path` in one step and tells all readers (LiveFile, Live). Readers
// keep the old file until they let go of it. If anything fails, or the process is killed at any
// moment, the name leads to the old file or to the new one, and a publisher that comes later goes
// on from there. A link at `current_path` is followed: the file that it leads to is replaced, and
// the control block lies beside that. The new file gets the permissions of the one that it
// replaces, its group, and, if root publishes, its owner. The same content once more is a
// generation, too.
//
// Errors: those of WeightFile::open and verify, of the new file (kCorrupt where it is damaged);
// kCancelled;
// kInvalidArgument: both are one file, the new one is a link, lies on another file system, or has
// data files beside it and lies in another directory, or needs the very file that it would
// replace (the message says the way out); kExists: `current_path` is no weight file; kIo: the
// system refuses, another process is publishing, the control block is not to be trusted, one of the
// data files was written to or replaced meanwhile, or another file took one of the names meanwhile
// (and may be in place: the message says so). When the
// directory cannot be synced at last, the new file is in place and the message says so.
// Messages begin with the path that they are about.
Result<PublishReport> publish(const std::string& new_path,
                              const std::string& current_path,
                              const PublishOptions& options = {});

// The same again and again: for as long as it lives, no other process publishes under that name.
// A handle: it moves. For one thread at a time. A child made by fork shares the lock: it ends with
// the last of both.
class Publisher {
 public:
  // Makes the control block if there is none. Errors: kNotFound, kIo, kCancelled, as publish();
  // kInvalidArgument: the path has no name of a file, or that of something else.
  static Result<Publisher> open(const std::string& current_path,
                                const PublishOptions& options = {});

  ~Publisher();
  Publisher(Publisher&&) noexcept;
  Publisher& operator=(Publisher&&) noexcept;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // With the options of open(). Errors: those of publish(); kIo, too, when the path leads to
  // another file than it did for open(), or the control block was removed: then this publishes no
  // more.
  Result<PublishReport> publish(const std::string& new_path);

 private:
  struct State;
  explicit Publisher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weightmap
