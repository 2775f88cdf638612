// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// Finds the bytes of a storage by its key: a place in Checkpoint::storages, or kNoStorage when it
// has no bytes. Must answer alike when a key is asked for again.
using FindStorage = std::function<Result<std::uint32_t>(std::string_view key)>;

// What a persistent id says: ('storage', class, key, location, number of elements), and before 1.6
// either None or (key, first element, number of elements) of a part of that storage.
struct StorageId {
  Dtype dtype = Dtype::kUInt8;  // of the class; a storage without a type counts bytes
  ValueId key = kNoValue;       // a text
  std::int64_t element_count = 0;
  std::uint64_t size_bytes = 0;
  bool is_meta = false;     // has a size but no bytes anywhere
  ValueId part = kNoValue;  // what stands in the sixth place
};

// Errors: kCorrupt, kUnsupported. REQUIRES: a kPersistent value of the pickle.
Result<StorageId> read_storage_id(const Pickle& pickle, const PickleValue& value);

// Where the storage was when it was saved ("cuda:0"); empty for an id that says no such thing.
// REQUIRES: a kPersistent value of the pickle.
std::string_view location_of(const Pickle& pickle, const PickleValue& value);

// Where the bytes of a mentioned storage are.
struct StorageMention {
  Dtype dtype = Dtype::kUInt8;
  std::uint32_t storage = kNoStorage;  // in Checkpoint::storages
  std::uint64_t begin_bytes = 0;       // of the part, in the storage
  std::uint64_t size_bytes = 0;        // of the part
  bool is_meta = false;
};

// Reads the persistent ids of a pickle. Refers to everything it is given.
class TorchStorages {
 public:
  TorchStorages(const Pickle& pickle, const FindStorage& find, const Checkpoint& checkpoint);

  // Errors: kCorrupt (among them: the storage has not the size that this mention of it says),
  // kUnsupported, those of FindStorage. REQUIRES: a value of the pickle.
  Result<StorageMention> read(const PickleValue& value);

 private:
  Result<std::uint32_t> find(ValueId key);
  Result<void> narrow(const PickleValue& part, StorageMention& mention) const;

  const Pickle& pickle_;
  const FindStorage& find_;
  const Checkpoint& checkpoint_;
  std::vector<std::uint32_t> known_;  // by the key's ValueId
};

}  // namespace weightmap::checkpoint
