// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "weightmap/result.h"

#include "io/fault_guard.h"
#include "io/file.h"

namespace weightmap::io {

enum class Sharing : std::uint8_t {
  kShared,   // read-only, the page cache's own pages
  kPrivate,  // writable: a page that is written to becomes this process's own
};

struct MapOptions {
  Sharing sharing = Sharing::kShared;
  bool huge_pages = true;  // madvise(MADV_HUGEPAGE): doubles cold reads; ignored where unknown
  // A page that cannot be read gives zeros and a fault that is remembered, instead of SIGBUS
  // (fault_guard.h).
  bool guard = false;
};

// The whole of a file as one mapping, a copy of it in memory, or bytes in memory that stand for a
// file. Movable; the address of the bytes stays. Reading is safe from several threads.
class MappedFile {
 public:
  // One mapping, no page touched. An empty file has no mapping and empty bytes.
  // Errors: those of File; kIo when the system will not map; kUnsupported: more guards than there
  // is room for.
  static Result<MappedFile> map(File file, MapOptions options = {});

  // No byte in memory yet: only read_at() gives any.
  static MappedFile unread(File file);

  // What the file holds, read into memory of this process by several threads, page-aligned.
  // `go_on` is told, on the calling thread, how much is there; false stops the work.
  // Errors: kIo (no memory among them), kCorrupt (cut short), kCancelled.
  static Result<MappedFile> copy(File file,
                                 const std::function<bool(std::uint64_t done_bytes)>& go_on);

  // Bytes that the caller keeps, alive as long as `owner` is; 64-byte aligned or refused
  // (kInvalidArgument), since tensors are used in place. `name` stands for the path in messages.
  static Result<MappedFile> from_memory(std::span<const std::byte> bytes,
                                        std::shared_ptr<const void> owner,
                                        std::string name);

  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return file_ ? file_->path() : name_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::optional<File>& file() const { return file_; }  // nothing: it is memory
  bool is_mapping() const;                                   // of a file, that is
  std::uint64_t size_bytes() const { return file_ ? file_->size_bytes() : bytes_.size(); }

  // What may be written to, all of it; empty: the mapping is not private. Writers of the same bytes
  // take turns, which is theirs to see to.
  std::span<std::byte> writable_bytes() const;

  // Copies by read(2), not through the mapping: a file cut short is an error, not a signal.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const;

  // Brings in the pages of a range before they are touched. What cannot be read (the file was cut
  // short, the disk fails) is kIo here and would be a signal at the touch. Costs what the touch
  // would; does nothing on kernels before 5.14. REQUIRES: the range lies inside bytes().
  Result<void> prefault(std::uint64_t offset, std::uint64_t size) const;

  // Keeps all pages in memory until the mapping ends; brings in those that are not there. Error:
  // kIo, when the process may not lock so much (RLIMIT_MEMLOCK) or they cannot be read.
  Result<void> lock() const;
  std::uint64_t locked_bytes() const;

  // Takes the pages of a range out of this process's page table, also those that it only touches;
  // the next touch brings them back. Error: kIo (they are locked). REQUIRES: the range lies inside
  // bytes(), which is a shared mapping: of a private one what was written would be lost.
  Result<void> release(std::uint64_t offset, std::uint64_t size) const;

  const FaultGuard* guard() const;  // null: there is none

 private:
  struct Region;
  MappedFile();
  Result<void> map_region(const File& file, const MapOptions& options);
  std::span<std::byte> pages_of(std::uint64_t offset, std::uint64_t size) const;

  std::string name_;  // where there is no file
  std::optional<File> file_;
  std::unique_ptr<Region> region_;
  std::span<const std::byte> bytes_;
};

}  // namespace weightmap::io
