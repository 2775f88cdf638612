// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "format/content.h"

// From an object that holds tensors to what a weight file says of it.
namespace weightmap::format {

inline constexpr std::uint32_t kNoStorage = 0xFFFFFFFFU;

struct ObjectTensor {
  Dtype dtype = Dtype::kFloat32;
  std::uint16_t flags = 0;             // EntryFlag
  std::uint32_t storage = kNoStorage;  // bytes that several tensors may view
  std::uint64_t offset_bytes = 0;      // of the first element, in the storage
  std::span<const std::int64_t> shape;
  std::span<const std::int64_t> strides;
};

struct Object {
  const ValueGraph& values;  // kTensor and kComposite nodes have the numbers of these:
  std::uint32_t root = 0;    // what is taken of the values, and all below it
  std::vector<ObjectTensor> tensors;
  std::vector<CompositeContent> composites;        // without names; parts are of `tensors`
  std::vector<std::uint64_t> storage_sizes_bytes;  // by storage
};

struct ObjectContent {
  Content content;                             // without producer and alignment
  std::vector<std::uint32_t> storages;         // by segment: which it is, whole
  std::vector<std::uint32_t> composite_nodes;  // by composite: its node among content's values
};

// One entry a name (naming.h), one segment a storage that a named tensor lies in, whole, in the
// order of first use, so that ties and views stay what they are. A composite is one name; its parts
// are entries `<name>.<role>`, with a `_` more for as long as that is another's name. The values
// below the root come along in an order that is theirs alone: the same content, whatever made it,
// is the same. Errors: kUnsupported.
Result<ObjectContent> content_of(const Object& object);

}  // namespace weightmap::format
