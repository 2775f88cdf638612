// SPDX-License-Identifier: Apache-2.0
// The members, as torch/serialization.py reads them to this day (_legacy_load, legacy_load):
//   storages  a count; for each (key, location, class), its number of elements, its bytes; then a
//             list of the parts of storages: (key, key of the whole, first element, elements)
//   tensors   a count; for each (key, key of a storage, class), rank (4 bytes), 4 bytes that mean
//             nothing, shape, strides, first element
//   pickle    the object, whose persistent ids are keys of tensors
// Counts and tuples are pickles, numbers 8 bytes, little-endian. The keys in the object are then
// written out as the calls that later versions have in their place.
#include "checkpoint/torch_tar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/text.h"
#include "checkpoint/pickle_stream.h"
#include "checkpoint/storage_class.h"
#include "checkpoint/tar_archive.h"
#include "checkpoint/tar_keys.h"
#include "checkpoint/torch_values.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::int64_t kMaxRank = 64;
constexpr std::string_view kStorages = "storages";

class TorchTar {
 public:
  TorchTar(io::File file, const ReadOptions& options) : options_(options) {
    checkpoint_.kind = "tar checkpoint";
    checkpoint_.files.push_back(std::move(file));
  }

  Result<Checkpoint> read();

 private:
  Result<PickleStream> open(const std::vector<TarMember>& members, std::string_view name);
  Result<std::int64_t> read_count(PickleStream& stream, std::string_view what);
  Result<void> read_storages(PickleStream& stream);
  Result<void> read_storage(PickleStream& stream);
  Result<void> read_parts(PickleStream& stream);
  Result<void> add_part(const Pickle& pickle, const PickleValue& value);
  Result<void> read_tensors(PickleStream& stream);
  Result<void> read_tensor(PickleStream& stream);
  Result<void> read_object(PickleStream& stream);
  Result<std::uint32_t> find_storage(std::string_view key) const;

  Error error(ErrorCode code, std::string_view message) const {
    return {code, concat(checkpoint_.files.front().path(), ": ", message)};
  }
  Error corrupt(std::string_view message) const { return error(ErrorCode::kCorrupt, message); }

  ReadOptions options_;
  Checkpoint checkpoint_;
  TarStorages storages_;
  TarTensors tensors_;
};

Result<Checkpoint> TorchTar::read() {
  const auto members = read_tar(checkpoint_.files.front());
  if (!members) return members.error();
  auto storages = open(*members, kStorages);
  if (!storages) return storages.error();
  auto tensors = open(*members, "tensors");
  if (!tensors) return tensors.error();
  auto object = open(*members, "pickle");
  if (!object) return object.error();
  if (auto done = read_storages(*storages); !done) return done.error();
  if (auto done = read_tensors(*tensors); !done) return done.error();
  if (auto done = read_object(*object); !done) return done.error();
  return std::move(checkpoint_);
}

Result<PickleStream> TorchTar::open(const std::vector<TarMember>& members, std::string_view name) {
  const auto found = std::ranges::find(members, name, &TarMember::name);
  if (found == members.end()) {
    // The first that is looked for: without it, files of other kinds are in the archive.
    const std::string_view advice = name == kStorages ? ": unpack it with tar --extract" : "";
    return error(
        ErrorCode::kWrongKind,
        concat("is a tar archive, but no checkpoint: there is no member ", quoted(name), advice));
  }
  if (std::find_if(found + 1, members.end(),
                   [&](const TarMember& member) { return member.name == name; }) != members.end()) {
    return corrupt(concat("tar: two members have the name ", quoted(name)));
  }
  return PickleStream(checkpoint_.files.front(), found->offset_bytes,
                      found->offset_bytes + found->size_bytes, [this](const GlobalName& global) {
                        return check_global(global, options_.strict_globals, options_.globals);
                      });
}

Result<std::int64_t> TorchTar::read_count(PickleStream& stream, std::string_view what) {
  const auto count = stream.next(what);
  if (!count) return count.error();
  const PickleValue& value = count->pickle.values[count->pickle.root];
  if (value.kind != PickleKind::kInt || value.integer < 0) {
    return corrupt(concat(what, ": their number is none"));
  }
  return value.integer;
}

Result<void> TorchTar::read_storages(PickleStream& stream) {
  const auto count = read_count(stream, "storages");
  if (!count) return count.error();
  for (std::int64_t i = 0; i < *count; ++i) {
    if (auto done = read_storage(stream); !done) return done;
  }
  return read_parts(stream);
}

Result<void> TorchTar::read_storage(PickleStream& stream) {
  const auto owned = stream.next("storages");
  if (!owned) return owned.error();
  const Pickle& pickle = owned->pickle;
  const PickleValue& tuple = pickle.values[pickle.root];
  if (tuple.kind != PickleKind::kTuple || tuple.range.size != 3) {
    return corrupt("storages: what is not (key, location, class)");
  }
  const auto parts = pickle.items_of(tuple);
  const auto key = key_of(pickle, pickle.values[parts[0]]);
  const PickleValue& type = pickle.values[parts[2]];
  if (!key || type.kind != PickleKind::kGlobal) {
    return corrupt("storages: what is not (key, location, class)");
  }
  const std::string_view name = pickle.globals[type.slot].name;
  const auto dtype = dtype_of_storage_class(name.substr(name.rfind('.') + 1));
  if (!dtype) {
    return error(ErrorCode::kUnsupported, concat("storages: a storage of class ", quoted(name)));
  }
  const std::string what = concat("storage ", *key);
  const auto count = stream.number(what);
  if (!count) return count.error();
  const auto size = *count < 0 ? std::nullopt
                               : checked_mul(static_cast<std::uint64_t>(*count),
                                             std::uint64_t{dtype_info(*dtype).element_bits} / 8);
  if (!size) return corrupt(concat(what, " has ", *count, " elements"));
  const auto offset = stream.skip(*size, what);
  if (!offset) return offset.error();
  TarStorage storage{.class_name = std::string(name), .root = *key, .count = *count};
  if (*size > 0) {
    storage.place = static_cast<std::uint32_t>(checkpoint_.storages.size());
    checkpoint_.storages.push_back(
        {.key = concat(*key), .offset_bytes = *offset, .packed_bytes = *size, .size_bytes = *size});
  }
  if (!storages_.try_emplace(*key, std::move(storage)).second) {
    return corrupt(concat("two storages have the key ", *key));
  }
  return {};
}

Result<void> TorchTar::read_parts(PickleStream& stream) {
  const auto owned = stream.next("parts of storages");
  if (!owned) return owned.error();
  const Pickle& pickle = owned->pickle;
  const PickleValue& list = pickle.values[pickle.root];
  if (list.kind != PickleKind::kList) return corrupt("parts of storages: is no list");
  for (const ValueId id : pickle.items_of(list)) {
    if (auto done = add_part(pickle, pickle.values[id]); !done) return done;
  }
  return {};
}

Result<void> TorchTar::add_part(const Pickle& pickle, const PickleValue& value) {
  const auto wrong = [this] {
    return corrupt("parts of storages: what is not (key, key of the whole, offset, size)");
  };
  if (value.kind != PickleKind::kTuple || value.range.size != 4) return wrong();
  std::array<std::int64_t, 4> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto number = key_of(pickle, pickle.values[pickle.items_of(value)[i]]);
    if (!number) return wrong();
    numbers[i] = *number;
  }
  const auto [key, whole_key, begin, count] = numbers;
  const auto whole = storages_.find(whole_key);
  if (whole == storages_.end()) {
    return corrupt(concat("storage ", key, " is part of ", whole_key, ", which there is not"));
  }
  const TarStorage& of = whole->second;
  if (begin < 0 || count < 0 || begin > of.count || count > of.count - begin) {
    return corrupt(concat("storage ", key, " is ", count, " elements at ", begin, " of the ",
                          of.count, " of storage ", whole_key));
  }
  const TarStorage part{.root = of.root, .begin = of.begin + begin, .count = count};
  if (storages_.try_emplace(key, part).second) return {};
  return corrupt(concat("two storages have the key ", key));
}

Result<void> TorchTar::read_tensors(PickleStream& stream) {
  const auto count = read_count(stream, "tensors");
  if (!count) return count.error();
  for (std::int64_t i = 0; i < *count; ++i) {
    if (auto done = read_tensor(stream); !done) return done;
  }
  return {};
}

Result<void> TorchTar::read_tensor(PickleStream& stream) {
  const auto owned = stream.next("tensors");
  if (!owned) return owned.error();
  const Pickle& pickle = owned->pickle;
  const PickleValue& tuple = pickle.values[pickle.root];
  const bool is_tuple = tuple.kind == PickleKind::kTuple && tuple.range.size == 3;
  const auto part = [&](std::size_t i) {
    return is_tuple ? key_of(pickle, pickle.values[pickle.items_of(tuple)[i]]) : std::nullopt;
  };
  const auto key = part(0);
  const auto storage = part(1);
  if (!key || !storage) return corrupt("tensors: what is not (key, key of a storage, class)");
  if (!storages_.contains(*storage)) {
    return corrupt(concat("tensor ", *key, " is in storage ", *storage, ", which there is not"));
  }
  const std::string what = concat("tensor ", *key);
  const auto head = stream.number(what);
  if (!head) return head.error();
  const std::int64_t rank = static_cast<std::int32_t>(*head & 0xFFFFFFFF);
  if (rank < 0 || rank > kMaxRank) {
    return error(ErrorCode::kUnsupported,
                 concat(what, " has ", rank, " dimensions, at most ", kMaxRank));
  }
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < 2 * rank + 1; ++i) {
    const auto number = stream.number(what);
    if (!number) return number.error();
    numbers.push_back(*number);
  }
  const TarTensor tensor{.storage = *storage,
                         .offset = numbers.back(),
                         .shape = {numbers.begin(), numbers.begin() + rank},
                         .strides = {numbers.begin() + rank, numbers.end() - 1}};
  if (tensors_.try_emplace(*key, tensor).second && !storages_.contains(*key)) return {};
  return corrupt(concat("two tensors or storages have the key ", *key));
}

Result<void> TorchTar::read_object(PickleStream& stream) {
  auto object = stream.next("object");
  if (!object) return object.error();
  const auto in_object = [this](const Error& from) {
    return error(from.code(), concat("object: ", from.message()));
  };
  const auto bytes = write_out_keys(*object, storages_, tensors_);
  if (!bytes) return in_object(bytes.error());
  const auto read = read_torch_values(
      object->pickle, [this](std::string_view key) { return find_storage(key); }, checkpoint_);
  if (!read) return in_object(read.error());
  return {};
}

// Asked only for what write_out_keys wrote: keys of whole storages.
Result<std::uint32_t> TorchTar::find_storage(std::string_view key) const {
  std::int64_t number = 0;
  std::from_chars(key.data(), key.data() + key.size(), number);
  return storages_.find(number)->second.place;
}

}  // namespace

Result<Checkpoint> read_torch_tar(io::File file, const ReadOptions& options) {
  return TorchTar(std::move(file), options).read();
}

}  // namespace weightmap::checkpoint
