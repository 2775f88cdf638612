// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/tar_keys.h"

#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "checkpoint/pickle_rewrite.h"

namespace weightmap::checkpoint {
namespace {

class TensorCalls {
 public:
  TensorCalls(OwnedPickle& object, const TarStorages& storages, const TarTensors& tensors)
      : pickle_(object.pickle), bytes_(object.bytes), storages_(storages), tensors_(tensors) {
    bytes_.resize(pickle_.bytes.size());
    words_ = {text("storage"), text("cpu"), global("torch._utils", "_rebuild_tensor")};
  }

  // The object's bytes with those of the new texts, which it refers to from now on; the old ones
  // are needed, too.
  Result<std::vector<std::byte>> put();

 private:
  struct Words {
    ValueId storage, cpu, rebuild;
  };

  Result<ValueId> of_key(const PickleValue& id);
  ValueId call(const TarTensor& tensor);
  ValueId storage(std::int64_t key);

  ValueId add(PickleValue value) {
    pickle_.values.push_back(value);
    return static_cast<ValueId>(pickle_.values.size() - 1);
  }
  ValueId integer(std::int64_t number) {
    return add({.kind = PickleKind::kInt, .integer = number});
  }
  ValueId text(std::string_view text);
  ValueId global(std::string_view module, std::string_view name);
  ValueId tuple(std::span<const ValueId> items);
  ValueId integers(const std::vector<std::int64_t>& numbers);

  Pickle& pickle_;
  std::vector<std::byte> bytes_;
  const TarStorages& storages_;
  const TarTensors& tensors_;
  Words words_{};
  std::map<std::int64_t, ValueId> made_;           // by key: what is one object stays one
  std::map<std::int64_t, ValueId> made_storages_;  // by key
};

Result<std::vector<std::byte>> TensorCalls::put() {
  const std::size_t count = pickle_.values.size();
  std::vector<std::pair<ValueId, ValueId>> replaced;
  for (ValueId id = 0; id < count; ++id) {
    if (pickle_.values[id].kind != PickleKind::kPersistent) continue;
    const PickleValue key = pickle_.values[pickle_.values[id].slot];
    const auto made = of_key(key);
    if (!made) return made.error();
    replaced.emplace_back(id, *made);
  }
  std::vector<ValueId> stand_ins = no_stand_ins(pickle_);
  for (const auto& [id, made] : replaced)
    stand_ins[id] = made;
  redirect(pickle_, stand_ins);
  if (bytes_.size() > PickleLimits::kMaxBytes) {
    return Error(ErrorCode::kUnsupported, "an object of too many tensors");
  }
  pickle_.bytes = bytes_;
  return std::move(bytes_);
}

Result<ValueId> TensorCalls::of_key(const PickleValue& id) {
  const auto key = key_of(pickle_, id);
  if (!key) return Error(ErrorCode::kCorrupt, "a persistent id that is no key");
  const auto known = made_.find(*key);
  if (known != made_.end()) return known->second;
  if (storages_.contains(*key)) return made_[*key] = storage(*key);
  const auto tensor = tensors_.find(*key);
  if (tensor == tensors_.end()) {
    return Error(ErrorCode::kCorrupt, concat("there is no tensor of the key ", *key));
  }
  return made_[*key] = call(tensor->second);
}

ValueId TensorCalls::call(const TarTensor& tensor) {
  const std::array<ValueId, 4> arguments{storage(tensor.storage), integer(tensor.offset),
                                         integers(tensor.shape), integers(tensor.strides)};
  pickle_.calls.push_back({.callable = words_.rebuild, .arguments = tuple(arguments)});
  return add(
      {.kind = PickleKind::kCall, .slot = static_cast<std::uint32_t>(pickle_.calls.size() - 1)});
}

// ('storage', class, key of the whole, 'cpu', elements of the whole, (key, begin, elements))
ValueId TensorCalls::storage(std::int64_t key) {
  const auto known = made_storages_.find(key);
  if (known != made_storages_.end()) return known->second;
  const TarStorage& part = storages_.at(key);
  const TarStorage& root = storages_.at(part.root);
  const ValueId name = text(concat(part.root));
  const std::array<ValueId, 3> view{name, integer(part.begin), integer(part.count)};
  const std::array<ValueId, 6> id{
      words_.storage, global("torch", root.class_name), name, words_.cpu, integer(root.count),
      tuple(view)};
  const ValueId made = add({.kind = PickleKind::kPersistent, .slot = tuple(id)});
  return made_storages_[key] = made;
}

ValueId TensorCalls::text(std::string_view text) {
  const PickleRange range{static_cast<std::uint32_t>(bytes_.size()),
                          static_cast<std::uint32_t>(text.size())};
  const auto added = std::as_bytes(std::span(text));
  bytes_.insert(bytes_.end(), added.begin(), added.end());
  return add({.kind = PickleKind::kStr, .range = range});
}

ValueId TensorCalls::global(std::string_view module, std::string_view name) {
  pickle_.globals.push_back({module, name});
  return add({.kind = PickleKind::kGlobal,
              .slot = static_cast<std::uint32_t>(pickle_.globals.size() - 1)});
}

ValueId TensorCalls::tuple(std::span<const ValueId> items) {
  const PickleRange range{static_cast<std::uint32_t>(pickle_.items.size()),
                          static_cast<std::uint32_t>(items.size())};
  pickle_.items.insert(pickle_.items.end(), items.begin(), items.end());
  return add({.kind = PickleKind::kTuple, .range = range});
}

ValueId TensorCalls::integers(const std::vector<std::int64_t>& numbers) {
  std::vector<ValueId> items;
  items.reserve(numbers.size());
  for (const std::int64_t number : numbers)
    items.push_back(integer(number));
  return tuple(items);
}

}  // namespace

std::optional<std::int64_t> key_of(const Pickle& pickle, const PickleValue& value) {
  if (value.kind == PickleKind::kInt) return value.integer;
  if (value.kind != PickleKind::kStr) return std::nullopt;
  const std::string_view text = pickle.text(value);
  std::int64_t key = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), key);
  const bool is_key = problem == std::errc() && rest == text.data() + text.size();
  return is_key ? std::optional(key) : std::nullopt;
}

Result<std::vector<std::byte>> write_out_keys(OwnedPickle& object,
                                              const TarStorages& storages,
                                              const TarTensors& tensors) {
  return TensorCalls(object, storages, tensors).put();
}

}  // namespace weightmap::checkpoint
