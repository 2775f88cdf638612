// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle_stream.h"

// What the members of a tar archive of torch 0.1 say, and the object in terms of later versions.
namespace weightmap::checkpoint {

struct TarStorage {
  std::string class_name;
  std::int64_t root = 0;   // the key of the whole, which is whole itself
  std::int64_t begin = 0;  // in elements of the whole
  std::int64_t count = 0;  // elements
  std::uint32_t place = kNoStorage;
};

struct TarTensor {
  std::int64_t storage = 0;  // key
  std::int64_t offset = 0;   // in elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

using TarStorages = std::map<std::int64_t, TarStorage>;
using TarTensors = std::map<std::int64_t, TarTensor>;

// A key: an integer, or its decimal digits.
std::optional<std::int64_t> key_of(const Pickle& pickle, const PickleValue& value);

// Puts calls of `_rebuild_tensor` where an object has keys of tensors. Returns the bytes that the
// object refers to from then on beside its own; they belong together, with both maps.
// Errors: kCorrupt, kUnsupported. REQUIRES: the storages of all tensors and the roots of all
// storages are there.
Result<std::vector<std::byte>> write_out_keys(OwnedPickle& object,
                                              const TarStorages& storages,
                                              const TarTensors& tensors);

}  // namespace weightmap::checkpoint
