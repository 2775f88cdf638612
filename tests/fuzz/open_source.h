// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/storage_reader.h"
#include "fuzz/input.h"
#include "support/checkpoint_check.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

// What fuzz targets of checkpoints in several files share.
namespace weightmap::tests {

// Opens a checkpoint and, if that succeeds, holds it to its promises. What is put together is read
// as far as it is small.
inline void open_source(const std::string& path) {
  constexpr std::uint64_t kMostBytes = 1U << 16U;
  const auto found = checkpoint::open_checkpoint(path, {});
  if (!found) {
    if (found.error().message().empty()) give_up("an error without a message");
    return;
  }
  const std::string broken = broken_promise(*found);
  if (!broken.empty()) give_up(broken);
  io::ReadAhead ahead;
  for (const checkpoint::Storage& storage : found->storages) {
    std::vector<std::byte> bytes(std::min(storage.size_bytes, kMostBytes));
    const auto read = checkpoint::StorageReader(*found, storage, ahead).read(bytes);
    if (!read) give_up(read.error().message());
  }
}

// A directory with copies of all files of others.
inline const TempDir& directory_with(const std::vector<std::string>& others) {
  static const TempDir directory;
  for (const std::string& other : others) {
    std::filesystem::copy(std::string(WEIGHTMAP_TEST_DATA) + "/sources/" + other, directory.path(),
                          std::filesystem::copy_options::overwrite_existing);
  }
  return directory;
}

}  // namespace weightmap::tests
