// SPDX-License-Identifier: Apache-2.0
// Who may do what with the names: a writer's file is locked before it gets a name (O_TMPFILE) or
// right after (where it must have one from the start). The temporary's name admits one writer of
// a target at a time; to replace the target takes that name first. A file without a name is not
// seen by other writers, so it also looks whether the target is still the one it began with.
#include "io/staged_output.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr mode_t kMode = 0666;  // less the umask

// Holds back the signals that end a program, for the few microseconds in which the file carries
// its temporary name.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
      sigaddset(&ending, signal);
    pthread_sigmask(SIG_BLOCK, &ending, &before_);
  }
  ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_{};
};

// The name under which a file without one can be linked.
std::string name_by_descriptor(const Descriptor& file) {
  return concat("/proc/self/fd/", file.get());
}

bool means_no_unnamed_files(int error_number) {
  return error_number == EOPNOTSUPP || error_number == EISDIR || error_number == EINVAL ||
         error_number == ENOSYS;
}

}  // namespace

Result<std::unique_ptr<StagedOutput>> StagedOutput::create(const std::string& target,
                                                           std::uint64_t size_bytes) {
  auto resolved = WriteTarget::resolve(target);
  if (!resolved) return resolved.error();
  return create(std::move(*resolved), size_bytes);
}

Result<std::unique_ptr<StagedOutput>> StagedOutput::create(WriteTarget target,
                                                           std::uint64_t size_bytes) {
  std::unique_ptr<StagedOutput> output(new StagedOutput(std::move(target)));
  if (auto removed = output->target_.remove_stale_temporary(); !removed) return removed.error();
  if (auto opened = output->open(); !opened) return opened.error();
  if (auto locked = output->lock(); !locked) return locked.error();
  if (auto allocated = output->allocate(size_bytes); !allocated) return allocated.error();
  return output;
}

StagedOutput::~StagedOutput() {
  if (has_temporary_name_) {
    system_calls().unlink_at(target_.directory.get(), target_.temporary.c_str(), 0);
  }
}

Result<void> StagedOutput::open() {
  const auto open_at = [&](const char* name, int flags) {
    return uninterrupted([&] {
      return system_calls().open_at(target_.directory.get(), name, flags | O_RDWR | O_CLOEXEC,
                                    kMode);
    });
  };
  file_ = Descriptor(open_at(".", O_TMPFILE));
  // Without /proc, as in a bare chroot, such a file could never get a name.
  if (file_ && ::access(name_by_descriptor(file_).c_str(), F_OK) == 0) return {};
  if (!file_ && !means_no_unnamed_files(errno)) {
    return system_error(target_.path, "cannot create", errno);
  }
  file_ = Descriptor(open_at(target_.temporary.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW));
  if (!file_ && errno == EEXIST) return target_.busy();
  if (!file_) return system_error(target_.path, "cannot create", errno);
  has_temporary_name_ = true;
  return {};
}

// A file system without locks is written to all the same. Between open() and here another writer
// may have taken a temporary with a name for a dead one's; then the name is that writer's.
Result<void> StagedOutput::lock() {
  const FileLock taken = take_lock(file_);
  if (!has_temporary_name_ || taken == FileLock::kUnsupported) return {};
  if (taken == FileLock::kTaken && target_.carries(target_.temporary, file_)) return {};
  has_temporary_name_ = false;
  return target_.busy();
}

Result<void> StagedOutput::allocate(std::uint64_t size_bytes) {
  if (size_bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(path(), ": no file can have ", size_bytes, " bytes"));
  }
  if (size_bytes == 0) return {};
  const int allocated = uninterrupted(
      [&] { return system_calls().fallocate(file_.get(), 0, 0, static_cast<off_t>(size_bytes)); });
  if (allocated == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return {};
  return system_error(path(), concat("cannot allocate ", size_bytes, " bytes"), errno);
}

Result<void> StagedOutput::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = uninterrupted([&] {
      return system_calls().pwrite(file_.get(), bytes.data(), bytes.size(),
                                   static_cast<off_t>(offset));
    });
    if (written <= 0) return system_error(path(), "cannot write", written < 0 ? errno : EIO);
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

// The owner first: a change of it may take permissions away.
void StagedOutput::set_rights(uid_t owner, gid_t group, mode_t permissions) const {
  [[maybe_unused]] const int owned = ::fchown(file_.get(), owner, group);
  [[maybe_unused]] const int permitted = ::fchmod(file_.get(), permissions);
}

// Only a hint: bytes that cannot be brought to the disk are told by the fsync at the end.
void StagedOutput::start_writeback(std::uint64_t offset, std::uint64_t size) const {
  system_calls().sync_file_range(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(size),
                                 SYNC_FILE_RANGE_WRITE);
}

Result<void> StagedOutput::retarget(const std::string& target) {
  auto resolved = WriteTarget::resolve(target);
  if (!resolved) return resolved.error();
  resolved->temporary = target_.temporary;
  first_previous_ = std::move(target_.previous);
  target_ = std::move(*resolved);
  return {};
}

Result<void> StagedOutput::publish(bool sync) {
  keep_mode();
  if (sync && !sync_file(file_.get())) return system_error(path(), "cannot sync", errno);
  if (auto named = take_name(); !named) return named;
  is_published_ = true;
  if (sync && !sync_directory(target_.directory.get())) {
    return system_error(path(), "is written, but its directory cannot be synced", errno);
  }
  return {};
}

// Whoever could not read the old file should not read the new one. Not every file system has modes.
void StagedOutput::keep_mode() const {
  const Descriptor& old = first_previous_ ? first_previous_ : target_.previous;
  struct stat status {};
  if (!old || ::fstat(old.get(), &status) != 0) return;
  constexpr mode_t kPermissions = 0777;
  [[maybe_unused]] const int changed = ::fchmod(file_.get(), status.st_mode & kPermissions);
}

Result<void> StagedOutput::take_name() {
  if (has_temporary_name_) return rename_to_target();
  if (!target_.previous_identity) return link_to_target();
  const SignalsHeld held;
  if (auto linked = link_to_temporary(); !linked) return linked;
  const auto current = target_.identity_of(target_.name);
  if (!current) return current.error();
  if (*current && *current != target_.previous_identity) return overtaken();
  return rename_to_target();
}

// Returns 0 or an error number.
int StagedOutput::link_to(const std::string& entry) const {
  const std::string self = name_by_descriptor(file_);
  const int linked = system_calls().link_at(AT_FDCWD, self.c_str(), target_.directory.get(),
                                            entry.c_str(), AT_SYMLINK_FOLLOW);
  return linked == 0 ? 0 : errno;
}

// A link never replaces: where nothing was to be replaced, it is all it takes.
Result<void> StagedOutput::link_to_target() {
  const int failure = link_to(target_.name);
  if (failure == 0) return {};
  return failure == EEXIST ? overtaken() : system_error(path(), "cannot name it", failure);
}

Result<void> StagedOutput::link_to_temporary() {
  int failure = link_to(target_.temporary);
  if (failure == EEXIST) {
    if (auto removed = target_.remove_stale_temporary(); !removed) return removed;
    failure = link_to(target_.temporary);
  }
  if (failure == EEXIST) return target_.busy();
  if (failure != 0) {
    return system_error(path(), concat("cannot create ", quoted(target_.temporary)), failure);
  }
  has_temporary_name_ = true;
  return {};
}

Result<void> StagedOutput::rename_to_target() {
  const int directory = target_.directory.get();
  if (system_calls().rename_at(directory, target_.temporary.c_str(), directory,
                               target_.name.c_str()) != 0) {
    return system_error(path(), concat("cannot rename ", quoted(target_.temporary)), errno);
  }
  has_temporary_name_ = false;
  return {};
}

Error StagedOutput::overtaken() const {
  return {ErrorCode::kIo, concat(path(), ": another process wrote it meanwhile")};
}

}  // namespace weightmap::io
