// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "weightmap/result.h"

#include "io/file.h"

namespace weightmap::io {

struct MapOptions {
  bool huge_pages = true;  // madvise(MADV_HUGEPAGE): doubles cold reads; ignored where unknown
};

// The whole of a file as one read-only shared mapping, or bytes in memory that stand for a file.
// Movable; the address of the bytes stays. Reading is safe from several threads.
class MappedFile {
 public:
  // One mapping, no page touched. An empty file has no mapping and empty bytes.
  // Errors: those of File; kIo when the system will not map.
  static Result<MappedFile> map(File file, MapOptions options = {});

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

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::optional<File>& file() const { return file_; }  // nothing: it is memory

  // Copies by read(2), not through the mapping: a file cut short is an error, not a signal.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const;

  // Brings in the pages of a range before they are touched. What cannot be read (the file was cut
  // short, the disk fails) is kIo here and would be a signal at the touch. Costs what the touch
  // would; does nothing on kernels before 5.14. REQUIRES: the range lies inside bytes().
  Result<void> prefault(std::uint64_t offset, std::uint64_t size) const;

 private:
  struct Region;  // Boost's mapped_region
  MappedFile();

  std::string path_;
  std::optional<File> file_;
  std::unique_ptr<Region> region_;
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

}  // namespace weightmap::io
