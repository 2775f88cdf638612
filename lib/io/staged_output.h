// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <sys/types.h>
#include <utility>

#include "weightmap/result.h"

#include "io/descriptor.h"
#include "io/write_target.h"

namespace weightmap::io {

// A file on its way to a target: without a name where the file system has O_TMPFILE, else under
// the name of the target's temporary; locked, so that no other writer takes it for a dead one's.
// Destroyed before it is published, it leaves nothing. Messages begin with the target.
class StagedOutput {
 public:
  // Allocates `size_bytes` where the file system can.
  // Errors: kIo, kNotFound, kInvalidArgument: those of WriteTarget and a size no file can have.
  static Result<std::unique_ptr<StagedOutput>> create(const std::string& target,
                                                      std::uint64_t size_bytes);

  // The same for a target that is resolved.
  static Result<std::unique_ptr<StagedOutput>> create(WriteTarget target, std::uint64_t size_bytes);

  ~StagedOutput();
  StagedOutput(const StagedOutput&) = delete;
  StagedOutput& operator=(const StagedOutput&) = delete;

  const std::string& path() const { return target_.path; }

  // REQUIRES: the bytes end within the size given to create().
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;

  // Owner, group and permissions, as far as the caller may give them; not every file system has
  // them.
  void set_rights(uid_t owner, gid_t group, mode_t permissions) const;

  // Asks the kernel to begin bringing these bytes to the disk.
  void start_writeback(std::uint64_t offset, std::uint64_t size) const;

  // Another name for the file, which only its bytes could tell. The temporary stays that of the
  // first target, and so do the permissions where that exists. REQUIRES: in the same directory,
  // called once. Errors: those of WriteTarget.
  Result<void> retarget(const std::string& target);

  // Gives the file its name in one step; `sync`: first the bytes, then the name are on the disk.
  // Errors: kIo, also when another file took the target's place since create(). The target is
  // then the old one, except that a directory which cannot be synced is told after the step.
  Result<void> publish(bool sync);
  bool is_published() const { return is_published_; }  // also where the directory is not synced

 private:
  explicit StagedOutput(WriteTarget target) : target_(std::move(target)) {}

  Result<void> open();
  Result<void> lock();
  Result<void> allocate(std::uint64_t size_bytes);
  void keep_mode() const;
  Result<void> take_name();
  int link_to(const std::string& entry) const;
  Result<void> link_to_target();
  Result<void> link_to_temporary();
  Result<void> rename_to_target();
  Error overtaken() const;

  WriteTarget target_;
  Descriptor first_previous_;  // what the target before retarget() would have replaced
  Descriptor file_;
  bool has_temporary_name_ = false;
  bool is_published_ = false;
};

}  // namespace weightmap::io
