// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/torch_storages.h"

#include <algorithm>
#include <span>

#include "base/checked.h"
#include "base/text.h"
#include "checkpoint/storage_class.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint32_t kNotAskedYet = 0xFFFFFFFEU;
constexpr std::size_t kParts = 5;

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
  const std::uint64_t element_bytes =
      std::max<std::uint64_t>(1, dtype_info(dtype).element_bits / 8);
  const auto bytes = checked_mul(static_cast<std::uint64_t>(count.integer), element_bytes);
  if (!bytes) return corrupt(concat("a storage of ", count.integer, " elements"));
  return *bytes;
}

}  // namespace

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
  const PickleValue& id = pickle_.values[value.slot];
  if (id.kind != PickleKind::kTuple || id.range.size != kParts) {
    return Error(ErrorCode::kUnsupported,
                 "a persistent id that is not ('storage', class, key, location, size)");
  }
  const std::span<const ValueId> parts = pickle_.items_of(id);
  const auto part = [&](std::size_t i) -> const PickleValue& { return pickle_.values[parts[i]]; };
  if (!is_text(part(0)) || pickle_.text(part(0)) != "storage" || !is_text(part(2)) ||
      !is_text(part(3))) {
    return corrupt("a persistent id that names no storage");
  }
  const auto dtype = class_dtype(pickle_, part(1));
  if (!dtype) return dtype.error();
  const auto size = storage_bytes(*dtype, part(4));
  if (!size) return size.error();
  StorageMention mention{.dtype = *dtype, .size_bytes = *size};
  mention.is_meta = pickle_.text(part(3)) == "meta";
  if (mention.is_meta) return mention;
  const auto storage = find(parts[2]);
  if (!storage) return storage.error();
  mention.storage = *storage;
  const std::uint64_t found =
      *storage == kNoStorage ? 0 : checkpoint_.storages[*storage].size_bytes;
  if (found != *size) {
    return corrupt(concat("storage ", quoted(pickle_.text(part(2))), " has ", found,
                          " bytes, expected ", *size));
  }
  return mention;
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
