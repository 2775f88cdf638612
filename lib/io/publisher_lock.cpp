// SPDX-License-Identifier: Apache-2.0
// The order of steps is the whole of crash safety: FORMAT.md 11.2 has it, with what a reader sees
// after each.
#include "io/publisher_lock.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <span>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "base/path_text.h"
#include "base/text.h"
#include "io/directory.h"
#include "io/staged_output.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::chrono::milliseconds kLongestPause{32};
constexpr int kAttempts = 16;  // of others who make, remove and make the block again

Error busy(const WriteTarget& target) {
  return {ErrorCode::kIo, concat(target.path, ": another process is publishing it")};
}

constexpr auto kUnchanged = static_cast<uid_t>(-1);

struct Rights {
  uid_t owner = kUnchanged;
  gid_t group = static_cast<gid_t>(-1);
  mode_t permissions = 0644;
};

// Only root may give a file away; others should not lose the group with the attempt.
uid_t owner_like(const struct stat& other) {
  return ::geteuid() == 0 ? other.st_uid : kUnchanged;
}

// Who may read the weights may read the block, and who may write them may write it.
Rights rights_for_block(const WriteTarget& target) {
  struct stat status {};
  if (!target.previous || ::fstat(target.previous.get(), &status) != 0) return {};
  constexpr mode_t kReadWrite = 0666;
  constexpr mode_t kOwner = 0600;
  return {owner_like(status), status.st_gid, (status.st_mode & kReadWrite) | kOwner};
}

// Whole from the first moment that it has the name. Another publisher may be first; then the block
// is that one's.
Result<void> make_block(const WriteTarget& target, const WriteTarget& block) {
  auto second = block.beside(block.name);
  if (!second) return second.error();
  auto output = StagedOutput::create(std::move(*second), kControlBlockBytes);
  if (!output) return output.error();
  const Rights rights = rights_for_block(target);
  (*output)->set_rights(rights.owner, rights.group, rights.permissions);
  const std::string bytes = new_control_block();
  Result<void> made = (*output)->write_at(0, std::as_bytes(std::span(bytes)));
  if (made) made = (*output)->publish(true);
  if (made) return made;
  const auto other = block.identity_of(block.name);
  return other && *other ? Result<void>() : made;
}

Result<Descriptor> open_block(const WriteTarget& target, const WriteTarget& block) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Descriptor file(uninterrupted([&] {
      return system_calls().open_at(block.directory.get(), block.name.c_str(),
                                    O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
    }));
    if (file) return file;
    if (errno != ENOENT) return system_error(block.path, "cannot open", errno);
    const Result<void> made = make_block(target, block);
    if (!made) return made.error();
  }
  return busy(target);
}

// A wait in the kernel would go on when a signal asks the program to stop.
Result<void> lock(const Descriptor& file,
                  const WriteTarget& target,
                  const PublisherLock::KeepWaiting& keep_waiting) {
  for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, kLongestPause)) {
    if (uninterrupted([&] { return system_calls().flock(file.get(), LOCK_EX | LOCK_NB); }) == 0)
      return {};
    if (errno != EWOULDBLOCK)
      return system_error(target.path, "cannot lock its control block", errno);
    if (!keep_waiting) return busy(target);
    if (!keep_waiting()) return Error(ErrorCode::kCancelled, concat(target.path, ": cancelled"));
    std::this_thread::sleep_for(pause);
  }
}

Error lies_elsewhere(const WriteTarget& target, const Successor& successor) {
  return {ErrorCode::kInvalidArgument,
          concat(successor.path, ": lies on another file system than ", target.path,
                 ": convert or copy it into that directory first")};
}

Error cannot_rename(const WriteTarget& target, const Successor& successor, int error_number) {
  if (error_number == EXDEV) return lies_elsewhere(target, successor);
  return system_error(target.path, concat("cannot rename ", successor.path), error_number);
}

Result<void> sync_bytes(const File& file) {
  if (sync_file(file.descriptor())) return {};
  return system_error(file.path(), "cannot sync", errno);
}

// Each directory that holds one of the names by which data files are found, once.
Result<void> sync_names(const std::vector<File>& data_files) {
  std::vector<FileIdentity> synced;
  for (const File& file : data_files) {
    for (const std::string& name : names_from(file.path())) {
      const Result<FileIdentity> identity = directory_identity_of(name);
      if (!identity) return identity.error();
      if (std::ranges::find(synced, *identity) != synced.end()) continue;
      const Result<Directory> directory = Directory::containing(name);
      Result<void> done = directory ? directory->sync() : directory.error();
      if (!done) return done;
      synced.push_back(*identity);
    }
  }
  return {};
}

// The new file, and what it needs beside it with the names of that.
Result<void> sync_all(const Successor& successor) {
  Result<void> synced = sync_bytes(successor.file);
  for (std::size_t i = 0; synced && i < successor.data_files.size(); ++i)
    synced = sync_bytes(successor.data_files[i]);
  return synced ? sync_names(successor.data_files) : synced;
}

Error has_lost_its_name(const std::string& path) {
  return {ErrorCode::kIo, concat(path, ": another file has taken its name since it was checked")};
}

// Whoever could not read the old file should not read the new one, and the block's owner stays that
// of the weights. Not every file system has owners and modes.
void set_rights(const Successor& successor, const struct stat& like) {
  constexpr mode_t kPermissions = 0777;
  const int file = successor.file.descriptor();
  [[maybe_unused]] const int owned = ::fchown(file, owner_like(like), like.st_gid);
  [[maybe_unused]] const int permitted = ::fchmod(file, like.st_mode & kPermissions);
}

// The new file with the rights of the old one, and with its own again if it does not take the
// place after all.
class TakenRights {
 public:
  TakenRights(const WriteTarget& target, const Successor& successor) : successor_(successor) {
    struct stat old {};
    is_taken_ = target.previous && ::fstat(target.previous.get(), &old) == 0 &&
                ::fstat(successor.file.descriptor(), &own_) == 0;
    if (is_taken_) set_rights(successor, old);
  }
  ~TakenRights() {
    if (is_taken_) set_rights(successor_, own_);
  }
  TakenRights(const TakenRights&) = delete;
  TakenRights& operator=(const TakenRights&) = delete;

  void keep() { is_taken_ = false; }

 private:
  const Successor& successor_;
  struct stat own_ {};
  bool is_taken_ = false;
};

}  // namespace

Result<Successor> Successor::open(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(path,
                        ": is a symbolic link, which would take the place of the file: "
                        "publish the file that it leads to"));
  }
  auto place = WriteTarget::resolve(path);
  if (!place) return place.error();
  auto file = File::open_in(place->directory.get(), place->name, path);
  if (!file) return file.error();
  return Successor{path, std::move(place->directory), std::move(place->name), std::move(*file), {}};
}

// The directories tell: on overlay a file's device may be another one than its directory's.
Result<void> Successor::check_file_system(const WriteTarget& target) const {
  struct stat from {};
  struct stat to {};
  const bool is_known =
      ::fstat(directory.get(), &from) == 0 && ::fstat(target.directory.get(), &to) == 0;
  if (is_known && from.st_dev != to.st_dev) return lies_elsewhere(target, *this);
  return {};
}

Result<void> Successor::check_names() const {
  struct stat status {};
  if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return system_error(path, "cannot be found any more", errno);
  const FileIdentity found{.device = status.st_dev, .inode = status.st_ino};
  if (found != file.identity()) return has_lost_its_name(path);
  for (const File& data_file : data_files) {
    const Result<FoundFile> there = file_at(data_file.path());
    if (!there) return there.error();
    if (there->identity != data_file.identity()) return has_lost_its_name(data_file.path());
  }
  return {};
}

PublisherLock::PublisherLock(Descriptor file, ControlBlock block)
    : file_(std::move(file)), block_(std::move(block)) {}

Result<PublisherLock> PublisherLock::take(const WriteTarget& target,
                                          const KeepWaiting& keep_waiting) {
  const Result<WriteTarget> block = target.beside(control_block_name(target.name));
  if (!block) return block.error();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<Descriptor> file = open_block(target, *block);
    if (!file) return file.error();
    auto mapped =
        ControlBlock::map(*file, block->path, target.previous, ControlBlock::Access::kWrite);
    if (!mapped) {
      return Error(mapped.error().code(),
                   concat(mapped.error().message(), ": remove it if nobody publishes there"));
    }
    const Result<void> locked = lock(*file, target, keep_waiting);
    if (!locked) return locked.error();
    // Somebody may have removed it meanwhile, and the next one locks another.
    if (block->carries(block->name, *file))
      return PublisherLock(std::move(*file), std::move(*mapped));
  }
  return busy(target);
}

Result<void> PublisherLock::check_held(const WriteTarget& target) const {
  if (target.carries(control_block_name(target.name), file_)) return {};
  return Error(ErrorCode::kIo,
               concat(target.path,
                      ": leads elsewhere than when its publisher began, or its control block was "
                      "removed: publish anew"));
}

bool PublisherLock::knows_current() const {
  return block_.digest(generation()) != Digest{};
}

void PublisherLock::tell_current(const Digest& digest) {
  block_.set_digest(generation(), digest);
}

void PublisherLock::finish(const Digest& digest_of_target) {
  const std::uint64_t counter = block_.counter() + 1;
  block_.set_digest(generation_of(counter), digest_of_target);
  block_.set_counter(counter);
}

Error PublisherLock::tell_stranger(const WriteTarget& target, const Successor& successor) {
  finish(Digest{});
  return {ErrorCode::kIo, concat(target.path, ": another file took the name ", successor.path,
                                 " or this one meanwhile, and may now be in its place, unverified: "
                                 "publish again")};
}

Result<std::uint64_t> PublisherLock::replace(const WriteTarget& target,
                                             const Successor& successor,
                                             const Digest& digest,
                                             bool sync) {
  const std::uint64_t before = block_.counter();
  TakenRights rights(target, successor);
  Result<void> ready = sync ? sync_all(successor) : Result<void>();
  if (ready) ready = successor.check_names();
  if (!ready) return ready.error();
  block_.set_digest(generation_of(before) + 1, digest);
  block_.set_counter(before + 1);
  if (system_calls().rename_at(successor.directory.get(), successor.name.c_str(),
                               target.directory.get(), target.name.c_str()) != 0) {
    const int failure = errno;
    block_.set_counter(before);
    return cannot_rename(target, successor, failure);
  }
  rights.keep();
  const bool is_synced = !sync || sync_directory(target.directory.get());
  const int failure = errno;
  const auto in_place = target.identity_of(target.name);
  if (!in_place || *in_place != successor.file.identity()) {
    return tell_stranger(target, successor);
  }
  block_.set_counter(before + 2);
  if (is_synced) return generation_of(before) + 1;
  return system_error(target.path, "is published, but its directory cannot be synced", failure);
}

}  // namespace weightmap::io
