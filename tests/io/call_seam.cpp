// SPDX-License-Identifier: Apache-2.0
#include "io/call_seam.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <mutex>
#include <unistd.h>
#include <utility>

namespace weightmap::tests {
namespace {

CallSeam* g_seam = nullptr;
io::SystemCalls g_kernel;

template <typename Real>
auto answer(const SeenCall& call, const Verdict& verdict, const Real& real) {
  using Answer = decltype(real(call.size));
  if (verdict.error != 0) {
    errno = verdict.error;
    return Answer{-1};
  }
  if (verdict.pretended) {
    const bool counts_bytes = call.name == "pwrite" || call.name == "pread";
    return static_cast<Answer>(counts_bytes ? call.size : 0);
  }
  return real(verdict.at_most < 0 ? call.size : std::min(verdict.at_most, call.size));
}

template <typename Real>
auto pass(const SeenCall& call, const Real& real) {
  const Verdict verdict = g_seam->judge(call);
  const auto result = answer(call, verdict, real);
  if (verdict.killed_after) ::kill(::getpid(), SIGKILL);
  return result;
}

io::SystemCalls through_seam() {
  return {
      .open_at =
          [](int directory, const char* name, int flags, mode_t mode) {
            return pass(
                {.name = "open_at",
                 .descriptor = directory,
                 .entry = name,
                 .flags = flags,
                 .mode = mode},
                [&](std::int64_t) { return g_kernel.open_at(directory, name, flags, mode); });
          },
      .pread =
          [](int fd, void* bytes, std::size_t size, off_t offset) {
            return pass({.name = "pread",
                         .descriptor = fd,
                         .offset = offset,
                         .size = static_cast<std::int64_t>(size)},
                        [&](std::int64_t some) {
                          return g_kernel.pread(fd, bytes, static_cast<std::size_t>(some), offset);
                        });
          },
      .pwrite =
          [](int fd, const void* bytes, std::size_t size, off_t offset) {
            return pass({.name = "pwrite",
                         .descriptor = fd,
                         .offset = offset,
                         .size = static_cast<std::int64_t>(size)},
                        [&](std::int64_t some) {
                          return g_kernel.pwrite(fd, bytes, static_cast<std::size_t>(some), offset);
                        });
          },
      .fallocate =
          [](int fd, int mode, off_t offset, off_t size) {
            return pass({.name = "fallocate", .descriptor = fd, .offset = offset, .size = size},
                        [&](std::int64_t) { return g_kernel.fallocate(fd, mode, offset, size); });
          },
      .sync_file_range =
          [](int fd, off_t offset, off_t size, unsigned flags) {
            return pass(
                {.name = "sync_file_range", .descriptor = fd, .offset = offset, .size = size},
                [&](std::int64_t) { return g_kernel.sync_file_range(fd, offset, size, flags); });
          },
      .fsync =
          [](int fd) {
            return pass({.name = "fsync", .descriptor = fd},
                        [&](std::int64_t) { return g_kernel.fsync(fd); });
          },
      .flock =
          [](int fd, int operation) {
            return pass({.name = "flock", .descriptor = fd, .flags = operation},
                        [&](std::int64_t) { return g_kernel.flock(fd, operation); });
          },
      .link_at =
          [](int from_directory, const char* from, int to_directory, const char* to, int flags) {
            return pass({.name = "link_at", .descriptor = to_directory, .entry = to},
                        [&](std::int64_t) {
                          return g_kernel.link_at(from_directory, from, to_directory, to, flags);
                        });
          },
      .rename_at =
          [](int from_directory, const char* from, int to_directory, const char* to) {
            return pass({.name = "rename_at", .descriptor = to_directory, .entry = to},
                        [&](std::int64_t) {
                          return g_kernel.rename_at(from_directory, from, to_directory, to);
                        });
          },
      .unlink_at =
          [](int directory, const char* name, int flags) {
            return pass({.name = "unlink_at", .descriptor = directory, .entry = name},
                        [&](std::int64_t) { return g_kernel.unlink_at(directory, name, flags); });
          },
      .fstatfs = g_kernel.fstatfs,
  };
}

}  // namespace

CallSeam::CallSeam(Judge on_call) : on_call_(std::move(on_call)), before_(io::system_calls()) {
  g_seam = this;
  g_kernel = before_;
  io::system_calls() = through_seam();
}

CallSeam::~CallSeam() {
  io::system_calls() = before_;
  g_seam = nullptr;
}

Verdict CallSeam::judge(const SeenCall& call) {
  const std::scoped_lock lock(mutex_);  // a writer's own thread comes by, too
  seen.push_back(call);
  return on_call_ ? on_call_(call) : Verdict{};
}

std::vector<SeenCall> CallSeam::all(const std::string& name) const {
  std::vector<SeenCall> found;
  std::ranges::copy_if(seen, std::back_inserter(found),
                       [&](const SeenCall& call) { return call.name == name; });
  return found;
}

std::vector<std::string> CallSeam::names() const {
  std::vector<std::string> found;
  for (const SeenCall& call : seen)
    found.push_back(call.name);
  return found;
}

bool asks_for_unnamed_file(const SeenCall& call) {
  return call.name == "open_at" && (call.flags & O_TMPFILE) == O_TMPFILE;
}

}  // namespace weightmap::tests
