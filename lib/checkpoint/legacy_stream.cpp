// SPDX-License-Identifier: Apache-2.0
// Five pickles, and then for each storage the number of its elements and its bytes, little-endian
// whatever the machine: torch/serialization.py, _legacy_save, from 0.2 to 2.13. The pickles are the
// magic number, the protocol, facts about the machine (which no loader has ever looked at), the
// object, and the keys of the storages in the order of their bytes.
#include "checkpoint/legacy_stream.h"

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "checkpoint/pickle_stream.h"
#include "checkpoint/torch_storages.h"
#include "checkpoint/torch_values.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::int64_t kProtocol = 1001;

class LegacyStream {
 public:
  LegacyStream(io::File file, const ReadOptions& options) : options_(options) {
    checkpoint_.kind = "legacy checkpoint";
    checkpoint_.files.push_back(std::move(file));
  }

  Result<Checkpoint> read();

 private:
  // What the object says about a storage, and where its bytes are.
  struct Place {
    StorageId id;
    bool is_placed = false;
    std::uint32_t storage = kNoStorage;
  };

  Result<void> read_head(PickleStream& stream);
  Result<void> collect_mentions();
  Result<void> collect(const PickleValue& value, std::vector<Place*>& known);
  Result<void> place_storages(const Pickle& keys, PickleStream& stream);
  Result<void> place(std::string_view key, PickleStream& stream);
  Result<std::uint32_t> find_storage(std::string_view key) const;

  Error error(ErrorCode code, std::string_view message) const {
    return {code, concat(checkpoint_.files.front().path(), ": ", message)};
  }

  ReadOptions options_;
  Checkpoint checkpoint_;
  OwnedPickle object_;
  std::map<std::string_view, Place> places_;  // by key, which belongs to object_
};

Result<Checkpoint> LegacyStream::read() {
  const io::File& file = checkpoint_.files.front();
  PickleStream stream(file, 0, file.size_bytes(), [this](const GlobalName& global) {
    return check_global(global, options_.strict_globals, options_.globals);
  });
  if (auto done = read_head(stream); !done) return done.error();
  auto object = stream.next("object");
  if (!object) return object.error();
  object_ = *std::move(object);
  if (options_.globals != nullptr) return std::move(checkpoint_);
  const auto keys = stream.next("list of storages");
  if (!keys) return keys.error();
  if (auto done = collect_mentions(); !done) return done.error();
  if (auto done = place_storages(keys->pickle, stream); !done) return done.error();
  const auto values = read_torch_values(
      object_.pickle, [this](std::string_view key) { return find_storage(key); }, checkpoint_);
  if (!values) return error(values.error().code(), concat("object: ", values.error().message()));
  return std::move(checkpoint_);
}

// The magic number was seen by who chose this reader.
Result<void> LegacyStream::read_head(PickleStream& stream) {
  const auto magic = stream.next("magic number");
  if (!magic) return magic.error();
  const auto protocol = stream.next("protocol");
  if (!protocol) return protocol.error();
  const PickleValue& number = protocol->pickle.values[protocol->pickle.root];
  if (number.kind != PickleKind::kInt) {
    return error(ErrorCode::kCorrupt, "the version of its protocol is no number");
  }
  if (number.integer != kProtocol) {
    return error(ErrorCode::kUnsupported,
                 concat("is of protocol ", number.integer, ", known is ", kProtocol));
  }
  const auto machine = stream.next("facts about the machine");
  if (!machine) return machine.error();
  return {};
}

// The sizes of the storages' elements stand only where the object mentions them.
Result<void> LegacyStream::collect_mentions() {
  std::vector<Place*> known(object_.pickle.values.size(), nullptr);
  for (const PickleValue& value : object_.pickle.values) {
    if (value.kind != PickleKind::kPersistent) continue;
    if (auto done = collect(value, known); !done) {
      return error(done.error().code(), concat("object: ", done.error().message()));
    }
  }
  return {};
}

Result<void> LegacyStream::collect(const PickleValue& value, std::vector<Place*>& known) {
  const auto id = read_storage_id(object_.pickle, value);
  if (!id) return id.error();
  if (id->is_meta) return {};
  const std::string_view key = object_.pickle.text(object_.pickle.values[id->key]);
  Place*& place = known[id->key];
  if (place == nullptr) place = &places_.try_emplace(key, Place{.id = *id}).first->second;
  if (place->id.dtype == id->dtype && place->id.element_count == id->element_count) return {};
  return Error(ErrorCode::kCorrupt, concat("storage ", quoted(key), " is ", place->id.element_count,
                                           " of ", dtype_name(place->id.dtype), " and, elsewhere, ",
                                           id->element_count, " of ", dtype_name(id->dtype)));
}

Result<void> LegacyStream::place_storages(const Pickle& keys, PickleStream& stream) {
  const PickleValue& list = keys.values[keys.root];
  if (list.kind != PickleKind::kList) {
    return error(ErrorCode::kCorrupt, "list of storages: is no list");
  }
  for (const ValueId id : keys.items_of(list)) {
    const PickleValue& key = keys.values[id];
    if (key.kind != PickleKind::kStr && key.kind != PickleKind::kBytes) {
      return error(ErrorCode::kCorrupt, "list of storages: a key that is no text");
    }
    if (auto done = place(keys.text(key), stream); !done) return done.error();
  }
  return {};
}

Result<void> LegacyStream::place(std::string_view key, PickleStream& stream) {
  const auto found = places_.find(key);
  if (found == places_.end()) {
    return error(ErrorCode::kCorrupt,
                 concat("storage ", quoted(key), " has a place, but nothing mentions it"));
  }
  auto& [id, is_placed, storage] = found->second;
  if (is_placed)
    return error(ErrorCode::kCorrupt, concat("storage ", quoted(key), " stands twice"));
  is_placed = true;
  const std::string what = concat("storage ", quoted(key));
  const auto count = stream.number(what);
  if (!count) return count.error();
  if (*count != id.element_count) {
    return error(ErrorCode::kCorrupt,
                 concat(what, " has ", *count, " elements, expected ", id.element_count));
  }
  const auto offset = stream.skip(id.size_bytes, what);
  if (!offset) return offset.error();
  if (id.size_bytes == 0) return {};
  storage = static_cast<std::uint32_t>(checkpoint_.storages.size());
  checkpoint_.storages.push_back({.key = std::string(key),
                                  .offset_bytes = *offset,
                                  .packed_bytes = id.size_bytes,
                                  .size_bytes = id.size_bytes});
  return {};
}

Result<std::uint32_t> LegacyStream::find_storage(std::string_view key) const {
  const auto found = places_.find(key);
  if (found != places_.end() && found->second.is_placed) return found->second.storage;
  return Error(ErrorCode::kCorrupt, concat("storage ", quoted(key), " is not in the file"));
}

}  // namespace

Result<Checkpoint> read_legacy_stream(io::File file, const ReadOptions& options) {
  return LegacyStream(std::move(file), options).read();
}

}  // namespace weightmap::checkpoint
