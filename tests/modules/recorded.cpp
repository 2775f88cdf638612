// SPDX-License-Identifier: Apache-2.0
#include "modules/recorded.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "format/index_view.h"

namespace weightmap::tests {
namespace {

std::byte half_byte(char digit) {
  return static_cast<std::byte>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

std::size_t element_bytes(Dtype dtype) {
  return dtype_info(dtype).element_bits / 8U;
}

std::uint16_t flags_of(const RecordedTensor& tensor) {
  std::uint16_t flags = 0;
  if (tensor.has('p')) flags |= format::kParameter;
  if (tensor.has('r')) flags |= format::kRequiresGrad;
  if (tensor.has('c')) flags |= format::kConj;
  if (tensor.has('n')) flags |= format::kNeg;
  if (tensor.has('m')) flags |= format::kMeta;
  return flags;
}

RecordedTensor recorded_tensor(const Json& described) {
  RecordedTensor tensor{.storage = std::nullopt,
                        .offset_bytes = described[1],
                        .dtype = *dtype_from_name(described[2].get<std::string>()),
                        .shape = described[3],
                        .strides = described[4],
                        .flags = described[5]};
  if (!described[0].is_null()) tensor.storage = described[0].get<std::size_t>();
  return tensor;
}

std::uint32_t add_value(ValueGraph& graph, const Json& value) {
  std::vector<std::uint32_t> children;
  for (const auto& [key, child] : value.items()) {
    if (value.is_object()) children.push_back(graph.add_text(ValueKind::kStr, key));
    if (value.is_structured()) children.push_back(add_value(graph, child));
  }
  if (value.is_object()) return graph.add_parent(ValueKind::kDict, children);
  if (value.is_array()) return graph.add_parent(ValueKind::kList, children);
  if (value.is_string()) return graph.add_text(ValueKind::kStr, value.get<std::string>());
  if (value.is_boolean()) return graph.add_number(ValueKind::kBool, value.get<bool>() ? 1 : 0);
  if (value.is_number_float())
    return graph.add_number(ValueKind::kFloat, std::bit_cast<std::uint64_t>(value.get<double>()));
  if (value.is_number())
    return graph.add_number(ValueKind::kInt, static_cast<std::uint64_t>(value.get<std::int64_t>()));
  return graph.add_number(ValueKind::kNone, 0);
}

StateValue value_of(const Json& value) {
  ValueGraph graph;
  add_value(graph, value);
  return StateValue(std::move(graph));
}

Json json_of(const ValueGraph& graph, std::uint32_t node) {
  const auto items = graph.items(node);
  Json list = Json::array();
  Json object = Json::object();
  switch (graph.node(node).kind) {
    case ValueKind::kBool: return graph.integer(node) != 0;
    case ValueKind::kInt: return graph.integer(node);
    case ValueKind::kFloat: return graph.real(node);
    case ValueKind::kStr: return std::string(graph.text(node));
    case ValueKind::kList:
      for (const std::uint32_t item : items)
        list.push_back(json_of(graph, item));
      return list;
    case ValueKind::kDict:
      for (std::size_t i = 0; i + 1 < items.size(); i += 2)
        object[std::string(graph.text(items[i]))] = json_of(graph, items[i + 1]);
      return object;
    default: return nullptr;
  }
}

}  // namespace

std::size_t RecordedTensor::element_count() const {
  std::size_t count = 1;
  for (const std::int64_t size : shape)
    count *= static_cast<std::size_t>(size);
  return count;
}

Recorded::Recorded(const Json& described) : given_count_(described["given"]) {
  for (const Json& hex : described["storages"])
    storages_.push_back(bytes_of_hex(hex));
  for (const Json& tensor : described["tensors"])
    tensors_.push_back(recorded_tensor(tensor));
}

Bytes Recorded::bytes_of_hex(const std::string& hex) {
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = half_byte(hex[2 * i]) << 4U | half_byte(hex[2 * i + 1]);
  return bytes;
}

Memory::Memory(const Recorded& recorded) {
  for (const Bytes& content : recorded.given()) {
    storages_.push_back(std::make_shared<AlignedBytes>(std::max<std::size_t>(content.size(), 1)));
    sizes_.push_back(content.size());
    std::ranges::copy(content, storages_.back()->bytes().begin());
  }
}

StateTensor Memory::tensor(const RecordedTensor& tensor) const {
  StateTensor::Facts facts{.dtype = tensor.dtype,
                           .shape = tensor.shape,
                           .strides = tensor.strides,
                           .flags = flags_of(tensor)};
  if (!tensor.storage) return StateTensor::over(std::move(facts), nullptr, nullptr);
  return StateTensor::over(std::move(facts), base(*tensor.storage) + tensor.offset_bytes,
                           storages_[*tensor.storage], bytes(*tensor.storage));
}

StateItem Memory::item(const Recorded& recorded, const Json& described) const {
  if (described.is_array()) return value_of(described[1]);
  return tensor(recorded.tensor(described));
}

StateDict Memory::state_dict(const Recorded& recorded,
                             const Json& items,
                             const Json& metadata) const {
  StateDict made;
  for (const Json& entry : items)
    made.set(entry[0].get<std::string>(), item(recorded, entry[1]));
  for (const Json& module : metadata) {
    ModuleMetadata& noted = made.metadata().set(module[0].get<std::string>(), {});
    for (const auto& [key, value] : module[1].items()) {
      if (key == "version") {
        noted.version = value.get<std::int64_t>();
      } else {
        noted.values.set(key, value_of(value));
      }
    }
  }
  return made;
}

Bytes elements(const std::byte* data,
               Dtype dtype,
               std::span<const std::int64_t> shape,
               std::span<const std::int64_t> strides) {
  if (shape.empty()) return {data, data + element_bytes(dtype)};
  Bytes found;
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    const std::ptrdiff_t offset =
        i * strides[0] * static_cast<std::ptrdiff_t>(element_bytes(dtype));
    const Bytes part = elements(data + offset, dtype, shape.subspan(1), strides.subspan(1));
    found.insert(found.end(), part.begin(), part.end());
  }
  return found;
}

Places::Places(const Memory& memory) {
  for (std::size_t storage = 0; storage < memory.size(); ++storage)
    bases_[storage] = reinterpret_cast<std::uintptr_t>(memory.base(storage));
}

bool Places::fits(const RecordedTensor& tensor, const std::byte* data) {
  if (!tensor.storage) return data == nullptr;
  if (tensor.element_count() == 0) return true;
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const auto base = bases_.try_emplace(*tensor.storage, begin - tensor.offset_bytes).first;
  std::size_t last = 0;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i)
    last += static_cast<std::size_t>((tensor.shape[i] - 1) * tensor.strides[i]);
  const Extent extent{*tensor.storage, begin, begin + (last + 1) * element_bytes(tensor.dtype)};
  const bool is_apart = std::ranges::none_of(extents_, [&](const Extent& other) {
    return other.storage != extent.storage && other.begin < extent.end && extent.begin < other.end;
  });
  extents_.push_back(extent);
  return is_apart && begin == base->second + tensor.offset_bytes;
}

Json json_of(const StateValue& value) {
  return json_of(value.graph(), value.graph().root());
}

bool is_same(const char* what, const Json& found, const Json& expected) {
  if (found == expected) return true;
  return complain(what, "\n  found    " + found.dump() + "\n  expected " + expected.dump());
}

bool complain(const char* what, const std::string& about) {
  std::printf("%s: %s\n", what, about.c_str());
  return false;
}

}  // namespace weightmap::tests
