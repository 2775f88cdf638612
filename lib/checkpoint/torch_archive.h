// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle_stream.h"
#include "checkpoint/zip_archive.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// The zip archive that PyTorch's writer makes, of torch.save's and of TorchScript's kind: records
// in one root directory, among them pickles and the bytes of their storages. Becomes a checkpoint
// when everything in it was read. Messages begin with the path. Movable.
class TorchArchive {
 public:
  // Errors: those of ZipArchive; kWrongKind: no records, arrays of NumPy alone, or the first record
  // in no directory.
  static Result<TorchArchive> open(io::File file);

  const io::File& file() const { return checkpoint_.files.front(); }
  const std::string& root() const { return root_; }  // "archive/"

  // The record of that name in the root directory; null if there is none.
  const ZipRecord* find(std::string_view name) const {
    return zip_.find(root_ + std::string(name));
  }

  // Errors: kCorrupt, kUnsupported: a record outside of the root, no version or one that is not
  // known, no such byte order.
  Result<void> check_layout();

  // Unpacked. Errors: kIo, kCorrupt, kUnsupported: too long.
  Result<std::vector<std::byte>> read_record(const ZipRecord& record, std::uint64_t max_bytes);

  // Errors: those of read_record and of decode_pickle. REQUIRES: there is a record of that name.
  Result<OwnedPickle> read_pickle(std::string_view name, const ReadOptions& options);

  // Reads the tensors and values of a pickle into the checkpoint; storages lie under `folder`
  // ("data/"). `name` is the pickle's, for messages. Errors: those of read_torch_values.
  Result<void> read_values(const Pickle& pickle, std::string_view name, std::string_view folder);

  // REQUIRES: read_values was called.
  Checkpoint& checkpoint() { return checkpoint_; }

  // Places the storages. Errors: kIo; kCorrupt: records overlap; kUnsupported.
  Result<Checkpoint> finish(std::string kind) &&;

  Error error(ErrorCode code, std::string_view message) const;

 private:
  struct UsedRange {
    std::uint64_t offset_bytes;
    const ZipRecord* record;
  };

  TorchArchive(io::File file, ZipArchive zip);
  Result<void> find_root();
  Result<void> check_version();
  Result<void> check_byte_order();
  Result<std::string> read_text(const ZipRecord& record);
  Result<void> read_bytes(const ZipRecord& record, std::uint64_t offset, std::span<std::byte> into);
  Result<std::uint32_t> find_storage(std::string_view folder, std::string_view key);
  Result<void> place_storages();
  Result<void> check_overlaps();

  ZipArchive zip_;
  Checkpoint checkpoint_;
  std::string root_;
  bool is_big_endian_ = false;
  std::vector<std::uint32_t> storage_of_;          // by place in the archive's records
  std::vector<const ZipRecord*> storage_records_;  // by storage
  std::vector<UsedRange> used_;
};

}  // namespace weightmap::checkpoint
