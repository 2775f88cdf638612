// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"

namespace weightmap::checkpoint {

// Reads the bytes of a storage from front to back, as tensors see them: unpacked, little-endian.
// Refers to the checkpoint. Memory is a constant, whatever the storage's size.
class StorageReader {
 public:
  // REQUIRES: a storage of that checkpoint.
  StorageReader(const Checkpoint& checkpoint, const Storage& storage);

  // Leaves out the next bytes. Errors: as read. REQUIRES: so many are left, and a multiple of
  // storage.swapped_bytes.
  Result<void> skip(std::uint64_t size_bytes);

  // The next bytes. Errors: kIo, kCorrupt; messages begin with the file's path.
  // REQUIRES: as skip.
  Result<void> read(std::span<std::byte> into);

 private:
  const Checkpoint& checkpoint_;
  const io::File& file_;
  const Storage& storage_;
  std::uint64_t done_bytes_ = 0;
};

}  // namespace weightmap::checkpoint
