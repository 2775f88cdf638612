// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/storage_reader.h"

namespace weightmap::checkpoint {

StorageReader::StorageReader(const Checkpoint& checkpoint, const Storage& storage)
    : checkpoint_(checkpoint), file_(checkpoint.files[storage.file]), storage_(storage) {}

Result<void> StorageReader::skip(std::uint64_t size_bytes) {
  done_bytes_ += size_bytes;
  return {};
}

Result<void> StorageReader::read(std::span<std::byte> into) {
  auto read = storage_.packing == Packing::kChunked
                  ? read_chunked(checkpoint_.chunked[storage_.chunked], checkpoint_.files,
                                 done_bytes_, into)
                  : file_.read_at(storage_.offset_bytes + done_bytes_, into);
  done_bytes_ += into.size();
  return read;
}

}  // namespace weightmap::checkpoint
