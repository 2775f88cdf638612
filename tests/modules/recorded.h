// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "weightmap/dtype.h"
#include "weightmap/slot.h"
#include "weightmap/state_dict.h"

#include "support/built_file.h"

// What a recorded case says of bytes (memory.py): numbered storages and numbered tensors over them.
namespace weightmap::tests {

// Which keeps the order of keys; metadata has one.
using Json = nlohmann::ordered_json;
using Bytes = std::vector<std::byte>;

struct RecordedTensor {
  std::optional<std::size_t> storage;  // none: a meta tensor
  std::size_t offset_bytes = 0;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::string flags;  // parameter, requires_grad, conj, neg, meta by their first letters

  bool has(char flag) const { return flags.find(flag) != std::string::npos; }
  std::size_t element_count() const;
};

class Recorded {
 public:
  explicit Recorded(const Json& described);
  static Bytes bytes_of_hex(const std::string& hex);

  const RecordedTensor& tensor(std::size_t number) const { return tensors_[number]; }
  std::span<const Bytes> storages() const { return storages_; }
  // Those that are there from the start; PyTorch made the others.
  std::span<const Bytes> given() const { return storages().first(given_count_); }

 private:
  std::vector<Bytes> storages_;
  std::size_t given_count_;
  std::vector<RecordedTensor> tensors_;
};

// The storages of a case that are given, made anew.
class Memory {
 public:
  explicit Memory(const Recorded& recorded);

  std::size_t size() const { return storages_.size(); }
  std::byte* base(std::size_t storage) const { return storages_[storage]->bytes().data(); }
  std::span<const std::byte> bytes(std::size_t storage) const {
    return std::as_const(*storages_[storage]).bytes().first(sizes_[storage]);
  }

  StateTensor tensor(const RecordedTensor& tensor) const;
  StateItem item(const Recorded& recorded, const Json& described) const;
  StateDict state_dict(const Recorded& recorded, const Json& items, const Json& metadata) const;

 private:
  std::vector<std::shared_ptr<AlignedBytes>> storages_;
  std::vector<std::size_t> sizes_;
};

// The elements of a tensor in their order.
Bytes elements(const std::byte* data,
               Dtype dtype,
               std::span<const std::int64_t> shape,
               std::span<const std::int64_t> strides);

// Where storages are found to lie: tensors of one storage lie at their distances, those of
// different ones apart.
class Places {
 public:
  Places() = default;
  explicit Places(const Memory& memory);

  // Whether a tensor may have its first element there.
  bool fits(const RecordedTensor& tensor, const std::byte* data);

 private:
  struct Extent {
    std::size_t storage = 0;
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
  };
  std::unordered_map<std::size_t, std::uintptr_t> bases_;
  std::vector<Extent> extents_;
};

// A value as Python's json writes it.
Json json_of(const StateValue& value);

bool is_same(const char* what, const Json& found, const Json& expected);
bool complain(const char* what, const std::string& about);

}  // namespace weightmap::tests
