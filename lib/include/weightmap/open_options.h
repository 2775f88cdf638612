// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// How the bytes of a weight file come into a process.
namespace weightmap {

class MappingCache;

enum class Mapping : std::uint8_t {
  // kShared; kCopied on file systems where a mapping is slow and a failure is a signal: NFS, SMB,
  // FUSE, 9p, Ceph, AFS, Coda, vboxsf (by statfs).
  kAutomatic,
  // Read-only: the page cache's own pages, one copy for all processes.
  kShared,
  // A process may write to its weights (WeightFile::writable_bytes), and no other one sees it. What
  // is not written to stays shared; each page that is costs a page.
  kPrivate,
  // Read into memory of this process, by several threads: nothing is shared with others.
  kCopied,
};

// When pages come into memory.
enum class Prefault : std::uint8_t {
  kNone,          // as they are touched
  kBackground,    // from open on, by a thread of the file's own, which ends with it
  kBeforeReturn,  // open returns when all are there; what cannot be read is an error of open
};

struct OpenOptions {
  Mapping mapping = Mapping::kAutomatic;
  // Asks for 2 MiB pages: twice the speed of a first, cold read. Without effect where the system
  // or the file system has none.
  bool huge_pages = true;
  // A weight file may refer to data files beside it. Whether all must be there, unchanged. Without,
  // those that are not leave their tensors absent (TensorView::is_absent), for who only looks.
  bool need_data_files = true;
  Prefault prefault = Prefault::kNone;
  // Of a prefault or of copying: called now and then with bytes done and to do, on the thread that
  // works; false stops it: open fails with kCancelled, a background prefault ends.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
  // Keeps all pages in memory (mlock), and brings them in before open returns. What the system does
  // not allow is no error: WeightFile::report() tells.
  bool lock = false;
  // Survives pages that cannot be read: they become zeros, the thread goes on, and
  // WeightFile::has_faults(), faults() and check() tell. The first such open installs a handler of
  // SIGBUS for the process, which passes on what is not in a guarded mapping.
  bool guard = false;
  // Where a program opens many weight files that refer to the same data files: one mapping of each
  // for all that are opened with the same cache and the same options. Not of kPrivate.
  std::shared_ptr<MappingCache> cache;
};

// For who only looks: nothing is read that is not asked for, wherever the file lies, and what is
// missing beside it is told where it would be used.
inline OpenOptions look_only() {
  return {.mapping = Mapping::kShared, .need_data_files = false};
}

// What became of the options, for one data file.
struct MappingReport {
  std::string path;
  std::string file_system;  // "ext4"; "memory" where there is no file
  Mapping asked = Mapping::kAutomatic;
  Mapping got = Mapping::kShared;
  std::string reason;  // why `got` is not `asked`, where it does not go without saying
  bool is_from_cache = false;
  std::uint64_t size_bytes = 0;
  // In this process's page table now, and of those by pages of 2 MiB; if the system tells.
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> huge_bytes;
  std::uint64_t locked_bytes = 0;
  std::string lock_problem;  // why it is not locked, though asked
  bool is_guarded = false;
};

struct OpenReport {
  std::vector<MappingReport> files;  // the weight file, then its open data files
  Prefault prefault = Prefault::kNone;
  std::uint64_t prefaulted_bytes = 0;  // rises while it works in the background
  std::string prefault_problem;        // what ended it early
  // Guards are asked for, but another handler of SIGBUS took the place of theirs.
  bool is_guard_replaced = false;

  std::string text() const;  // a line a file and fact, for a log
};

}  // namespace weightmap
