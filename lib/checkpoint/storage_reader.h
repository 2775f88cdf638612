// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/crc32.h"
#include "checkpoint/inflater.h"
#include "io/read_ahead.h"

namespace weightmap::checkpoint {

// Reads the bytes of a storage from front to back, as tensors see them: unpacked, little-endian.
// Refers to the checkpoint. Memory is a constant, whatever the storage's size. What reads several
// storages gives all readers one `ahead`, so that small ones that stand together in a file cost one
// system call together.
class StorageReader {
 public:
  // REQUIRES: a storage of that checkpoint.
  StorageReader(const Checkpoint& checkpoint, const Storage& storage, io::ReadAhead& ahead);

  // Leaves out the next bytes. Errors: as read. REQUIRES: so many are left, and a multiple of
  // storage.swapped_bytes.
  Result<void> skip(std::uint64_t size_bytes);

  // The next bytes. Errors: kIo; kCorrupt, among them a packed storage that turns out to be of
  // another size, which the last byte tells. Messages begin with the file's path.
  // REQUIRES: as skip, but for the storage's last bytes.
  Result<void> read(std::span<std::byte> into);

  // Whether the storage is what its CRC was made of. Nothing: the source says none, or the storage
  // was not read whole.
  std::optional<bool> crc_matches() const;

 private:
  Result<void> read_unpacked(std::span<std::byte> into);
  Result<void> read_packed(std::span<std::byte> into);

  const Checkpoint& checkpoint_;
  const io::File& file_;
  const Storage& storage_;
  io::ReadAhead& ahead_;
  std::optional<Inflater> inflater_;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t crc_bytes_ = 0;  // of which crc_ is
  Crc32 crc_;
};

}  // namespace weightmap::checkpoint
