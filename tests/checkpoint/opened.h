// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "support/checkpoint_writer.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::tests {

// The checkpoint in a file with these bytes, which is gone afterwards (but still open).
inline Result<checkpoint::Checkpoint> open_bytes(const std::string& bytes,
                                                 const checkpoint::ReadOptions& options = {}) {
  const TempDir directory;
  write_file(directory / "model.pt", bytes);
  return checkpoint::open_checkpoint(directory / "model.pt", options);
}

// An archive around this value (without PROTO and STOP).
inline Result<checkpoint::Checkpoint> open_value(const std::string& value,
                                                 const std::vector<StorageBytes>& storages = {}) {
  return open_bytes(checkpoint_file(pickle::whole(value), storages));
}

// "" when there is none.
template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? "" : result.error().message();
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace weightmap::tests
