// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_storages.h"

#include <span>

#include "base/checked.h"
#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/storage_class.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint32_t kNotAskedYet = 0xFFFFFFFEU;
constexpr std::size_t kParts = 5;
constexpr std::size_t kPartsBefore16 = 6;
constexpr std::size_t kLocationPart = 3;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

bool is_text(const PickleValue& value) {
  return value.kind == PickleKind::kStr || value.kind == PickleKind::kBytes;
}

Result<Dtype> class_dtype(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != PickleKind::kGlobal) return corrupt("a storage without a class");
  const GlobalName& name = pickle.globals[value.slot];
  // A name with dots leads to the class by attributes: `cuda.FloatStorage` of `torch`.
  const std::string_view last = name.name.substr(name.name.rfind('.') + 1);
  if (const auto dtype = dtype_of_storage_class(last)) return *dtype;
  return Error(ErrorCode::kUnsupported, concat("a storage of class ", quoted(global_text(name))));
}

// Of dtypes that pack several values into a byte, PyTorch counts bytes.
Result<std::uint64_t> storage_bytes(Dtype dtype, const PickleValue& count) {
  if (count.kind != PickleKind::kInt || count.integer < 0) {
    return corrupt("a storage whose size is no number of elements");
  }
  const auto bytes = checked_mul(static_cast<std::uint64_t>(count.integer), addressed_bytes(dtype));
  if (!bytes) return corrupt(concat("a storage of ", count.integer, " elements"));
  return *bytes;
}

}  // namespace

Result<StorageId> read_storage_id(const Pickle& pickle, const PickleValue& value) {
  const PickleValue& id = pickle.values[value.slot];
  if (id.kind != PickleKind::kTuple ||
      (id.range.size != kParts && id.range.size != kPartsBefore16)) {
    return Error(ErrorCode::kUnsupported,
                 "a persistent id that is not ('storage', class, key, location, size)");
  }
  const std::span<const ValueId> parts = pickle.items_of(id);
  const auto part = [&](std::size_t i) -> const PickleValue& { return pickle.values[parts[i]]; };
  if (!is_text(part(0)) || pickle.text(part(0)) != "storage" || !is_text(part(2)) ||
      !is_text(part(kLocationPart))) {
    return corrupt("a persistent id that names no storage");
  }
  const auto dtype = class_dtype(pickle, part(1));
  if (!dtype) return dtype.error();
  const auto size = storage_bytes(*dtype, part(4));
  if (!size) return size.error();
  return StorageId{.dtype = *dtype,
                   .key = parts[2],
                   .element_count = part(4).integer,
                   .size_bytes = *size,
                   .is_meta = pickle.text(part(kLocationPart)) == "meta",
                   .part = parts.size() == kParts ? kNoValue : parts[5]};
}

std::string_view location_of(const Pickle& pickle, const PickleValue& value) {
  const PickleValue& id = pickle.values[value.slot];
  if (id.kind != PickleKind::kTuple || id.range.size <= kLocationPart) return {};
  const PickleValue& location = pickle.values[pickle.items_of(id)[kLocationPart]];
  return is_text(location) ? pickle.text(location) : std::string_view();
}

TorchStorages::TorchStorages(const Pickle& pickle,
                             const FindStorage& find,
                             const Checkpoint& checkpoint)
    : pickle_(pickle),
      find_(find),
      checkpoint_(checkpoint),
      known_(pickle.values.size(), kNotAskedYet) {}

Result<StorageMention> TorchStorages::read(const PickleValue& value) {
  if (value.kind == PickleKind::kCall) {
    return Error(ErrorCode::kUnsupported, "a storage that is kept inside of the pickle");
  }
  if (value.kind != PickleKind::kPersistent) return corrupt("a tensor without a storage");
  const auto id = read_storage_id(pickle_, value);
  if (!id) return id.error();
  StorageMention mention{.dtype = id->dtype, .size_bytes = id->size_bytes, .is_meta = id->is_meta};
  if (mention.is_meta) return mention;
  const auto storage = find(id->key);
  if (!storage) return storage.error();
  mention.storage = *storage;
  const std::uint64_t found =
      *storage == kNoStorage ? 0 : checkpoint_.storages[*storage].size_bytes;
  if (found != id->size_bytes) {
    return corrupt(concat("storage ", quoted(pickle_.text(pickle_.values[id->key])), " has ", found,
                          " bytes, expected ", id->size_bytes));
  }
  if (id->part != kNoValue && pickle_.values[id->part].kind != PickleKind::kNone) {
    if (auto done = narrow(pickle_.values[id->part], mention); !done) return done.error();
  }
  return mention;
}

// (key of the part, first element, number of elements): torch 0.1 to 0.3.
Result<void> TorchStorages::narrow(const PickleValue& part, StorageMention& mention) const {
  constexpr std::size_t kViewParts = 3;
  if (part.kind != PickleKind::kTuple || part.range.size != kViewParts) {
    return corrupt("a part of a storage that is not (key, offset, size)");
  }
  const auto numbers = pickle_.items_of(part);
  const auto begin = storage_bytes(mention.dtype, pickle_.values[numbers[1]]);
  if (!begin) return begin.error();
  const auto size = storage_bytes(mention.dtype, pickle_.values[numbers[2]]);
  if (!size) return size.error();
  if (!range_fits(*begin, *size, mention.size_bytes)) {
    return corrupt(concat("a part of ", *size, " bytes at byte ", *begin, " of a storage of ",
                          mention.size_bytes));
  }
  mention.begin_bytes = *begin;
  mention.size_bytes = *size;
  return {};
}

// The text of a key may be long and mentioned often: it is looked up once.
Result<std::uint32_t> TorchStorages::find(ValueId key) {
  if (known_[key] == kNotAskedYet) {
    auto found = find_(pickle_.text(pickle_.values[key]));
    if (!found) return found;
    known_[key] = *found;
  }
  return known_[key];
}

}  // namespace weightmap::checkpoint
