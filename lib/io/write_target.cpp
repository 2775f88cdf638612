// SPDX-License-Identifier: Apache-2.0
#include "io/write_target.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <span>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/hash.h"
#include "base/path_text.h"
#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::string_view kTemporarySuffix = ".weightmap-tmp";
constexpr std::size_t kLongestName = 255;  // Linux's NAME_MAX

FileIdentity identity_from(const struct stat& status) {
  return {.device = status.st_dev, .inode = status.st_ino};
}

// A name that leaves no room for the additions gives way to its digest.
std::string temporary_name(const std::string& name) {
  std::string beside = concat(".", name, kTemporarySuffix);
  if (beside.size() <= kLongestName) return beside;
  return concat(".", digest_of(std::as_bytes(std::span(name))).hex(), kTemporarySuffix);
}

struct FreeString {
  void operator()(char* text) const { std::free(text); }
};

// REQUIRES: `slash` is where the last one of `path` is, or npos.
std::string directory_part(const std::string& path, std::size_t slash) {
  if (slash == std::string::npos) return ".";
  return path.substr(0, slash + 1);
}

Result<void> open_directory(WriteTarget& target, const std::string& directory) {
  target.directory = Descriptor(uninterrupted([&] {
    return system_calls().open_at(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                  0);
  }));
  if (!target.directory) return system_error(target.path, "cannot open its directory", errno);
  return {};
}

// O_PATH opens nothing but the name: a FIFO does not block and a device does not notice.
Result<void> open_previous(WriteTarget& target) {
  target.previous = Descriptor(uninterrupted([&] {
    return system_calls().open_at(target.directory.get(), target.name.c_str(),
                                  O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
  }));
  if (!target.previous && errno == ENOENT) return {};
  struct stat status {};
  if (!target.previous || ::fstat(target.previous.get(), &status) != 0) {
    return system_error(target.path, "cannot open", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return Error(
        ErrorCode::kInvalidArgument,
        concat(target.path, ": is ", file_type_text(status.st_mode), ", not a regular file"));
  }
  target.previous_identity = identity_from(status);
  return {};
}

Error in_the_way(const WriteTarget& target, std::string_view reason) {
  return {ErrorCode::kIo,
          concat(target.path, ": ", quoted(target.temporary), " is in the way: ", reason)};
}

// No descriptor when nothing lies there. Asked for its type first, since to open a device can do
// something to it.
Result<Descriptor> open_stale_temporary(const WriteTarget& target) {
  const int directory = target.directory.get();
  const char* const name = target.temporary.c_str();
  struct stat status {};
  if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Descriptor();
    return system_error(target.path, concat("cannot stat ", quoted(target.temporary)), errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return in_the_way(target, concat("it is ", file_type_text(status.st_mode)));
  }
  Descriptor stale(uninterrupted([&] {
    return system_calls().open_at(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
  }));
  if (stale || errno == ENOENT) return stale;
  return system_error(target.path, concat("cannot open ", quoted(target.temporary)), errno);
}

}  // namespace

// What does not exist yet has no links to follow.
Result<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, FreeString> real(::realpath(path.c_str(), nullptr));
  if (real) return std::string(real.get());
  if (errno != ENOENT) return system_error(path, "cannot resolve", errno);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    return Error(ErrorCode::kNotFound, concat(path, ": is a link to what does not exist"));
  }
  return path;
}

std::vector<std::string> names_from(const std::string& path) {
  constexpr std::size_t kMostLinks = 40;  // the kernel's limit
  std::vector<std::string> names{path};
  std::array<char, PATH_MAX> target{};
  while (names.size() <= kMostLinks) {
    const ssize_t length = ::readlink(names.back().c_str(), target.data(), target.size());
    if (length <= 0) break;
    const std::string_view next(target.data(), static_cast<std::size_t>(length));
    const bool is_absolute = next.front() == '/';
    names.push_back(concat(is_absolute ? "" : directory_prefix(names.back()), next));
  }
  return names;
}

FileLock take_lock(const Descriptor& file) {
  const int taken =
      uninterrupted([&] { return system_calls().flock(file.get(), LOCK_EX | LOCK_NB); });
  if (taken == 0) return FileLock::kTaken;
  return errno == EWOULDBLOCK ? FileLock::kHeldByOther : FileLock::kUnsupported;
}

Result<WriteTarget> WriteTarget::resolve(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, concat(quoted(path), ": a path holds no NUL byte"));
  }
  auto real = real_path(path);
  if (!real) return real.error();
  WriteTarget target;
  target.path = path;
  target.real = *real;
  const std::size_t slash = real->rfind('/');
  target.name = real->substr(slash + 1);  // npos + 1 is 0
  if (target.name.empty() || target.name == "." || target.name == "..") {
    return Error(ErrorCode::kInvalidArgument, concat(path, ": is not the name of a file"));
  }
  target.temporary = temporary_name(target.name);
  if (auto opened = open_directory(target, directory_part(*real, slash)); !opened)
    return opened.error();
  if (auto opened = open_previous(target); !opened) return opened.error();
  return target;
}

Result<WriteTarget> WriteTarget::beside(const std::string& other_name) const {
  WriteTarget target;
  target.path = target.real = concat(directory_prefix(real), other_name);
  target.name = other_name;
  target.temporary = temporary_name(other_name);
  target.directory = Descriptor(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0));
  if (!target.directory) return system_error(target.path, "cannot open its directory", errno);
  return target;
}

Result<std::optional<FileIdentity>> WriteTarget::identity_of(const std::string& entry) const {
  struct stat status {};
  if (::fstatat(directory.get(), entry.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    return std::optional(identity_from(status));
  }
  if (errno == ENOENT) return std::optional<FileIdentity>();
  return system_error(path, concat("cannot stat ", quoted(entry)), errno);
}

Error WriteTarget::busy() const {
  return {ErrorCode::kIo, concat(path, ": another process is writing it, to ", quoted(temporary))};
}

bool WriteTarget::carries(const std::string& entry, const Descriptor& file) const {
  struct stat named {};
  struct stat opened {};
  return ::fstatat(directory.get(), entry.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstat(file.get(), &opened) == 0 && identity_from(named) == identity_from(opened);
}

// Only who holds the lock of the file that carries the name may remove the name: else a writer
// would take the temporary of another that has just begun for a dead one's.
Result<void> WriteTarget::remove_stale_temporary() const {
  const auto stale = open_stale_temporary(*this);
  if (!stale) return stale.error();
  if (!*stale) return {};
  const FileLock lock = take_lock(*stale);
  if (lock == FileLock::kUnsupported) {
    return in_the_way(*this, "it may be a writer's at work, and there are no file locks to tell");
  }
  if (lock == FileLock::kHeldByOther || !carries(temporary, *stale)) return busy();
  if (system_calls().unlink_at(directory.get(), temporary.c_str(), 0) != 0) {
    return system_error(path, concat("cannot remove ", quoted(temporary)), errno);
  }
  return {};
}

}  // namespace weightmap::io
