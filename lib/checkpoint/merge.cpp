// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/merge.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

// Places in a checkpoint have 32 bits; parts share their texts, copies of them do not.
constexpr std::uint64_t kMost = 0xF0000000U;

std::uint64_t text_bytes(const ValueGraph& values) {
  std::uint64_t bytes = 0;
  for (const ValueNode& node : values.nodes())
    bytes += node.text_size;
  return bytes;
}

Result<void> check_room(const Checkpoint& part, const Checkpoint& into) {
  const bool fits = into.storages.size() + part.storages.size() < kMost &&
                    into.tensors.size() + part.tensors.size() < kMost &&
                    into.dims.size() + part.dims.size() < kMost &&
                    std::uint64_t{into.values.size()} + part.values.size() < kMost &&
                    into.values.all_children().size() + part.values.all_children().size() < kMost &&
                    into.values.all_text().size() + text_bytes(part.values) < kMost;
  if (fits) return {};
  return Error(ErrorCode::kUnsupported, "its files hold too many values to be read as one");
}

std::string name_in_whole(const PartPlace& place, std::string_view record) {
  return place.name.empty() ? std::string(record) : concat(place.name, "/", record);
}

void merge_storages(const Checkpoint& part, const PartPlace& place, Checkpoint& into) {
  for (Storage storage : part.storages) {
    storage.file = place.file;
    storage.offset_bytes += place.offset_bytes;
    storage.key = name_in_whole(place, storage.key);
    into.storages.push_back(std::move(storage));
  }
}

void merge_tensors(const Checkpoint& part, Checkpoint& into) {
  const auto first_storage = static_cast<std::uint32_t>(into.storages.size());
  const auto first_dim = static_cast<std::uint32_t>(into.dims.size());
  into.dims.insert(into.dims.end(), part.dims.begin(), part.dims.end());
  for (Tensor tensor : part.tensors) {
    tensor.dims_begin += first_dim;
    if (tensor.storage != kNoStorage) tensor.storage += first_storage;
    into.tensors.push_back(tensor);
  }
}

void merge_composites(const Checkpoint& part, std::uint32_t first_tensor, Checkpoint& into) {
  for (Composite composite : part.composites) {
    for (CompositePart& piece : composite.parts)
      piece.tensor += first_tensor;
    into.composites.push_back(std::move(composite));
  }
}

void merge_values(const Checkpoint& part,
                  const MergedPart& merged,
                  std::uint32_t first_composite,
                  Checkpoint& into) {
  std::vector<std::uint32_t> children;
  for (std::uint32_t i = 0; i < part.values.size(); ++i) {
    const ValueNode& node = part.values.node(i);
    children.clear();
    for (const std::uint32_t child : part.values.children(i))
      children.push_back(merged.first_node + child);
    std::uint64_t number = node.number;
    if (node.kind == ValueKind::kTensor) number += merged.first_tensor;
    if (node.kind == ValueKind::kComposite) number += first_composite;
    into.values.add_node(node.kind, number, children, part.values.text(i), node.has_attributes);
  }
}

}  // namespace

Result<MergedPart> merge_part(const Checkpoint& part, const PartPlace& place, Checkpoint& into) {
  if (auto room = check_room(part, into); !room) return room.error();
  const MergedPart merged{.first_tensor = static_cast<std::uint32_t>(into.tensors.size()),
                          .first_node = into.values.size()};
  const auto first_composite = static_cast<std::uint32_t>(into.composites.size());
  merge_tensors(part, into);
  merge_storages(part, place, into);
  merge_composites(part, merged.first_tensor, into);
  merge_values(part, merged, first_composite, into);
  into.locations.insert(part.locations.begin(), part.locations.end());
  for (const CrcMismatch& mismatch : part.crc_mismatches) {
    into.crc_mismatches.push_back(
        {.file = place.file, .record = name_in_whole(place, mismatch.record)});
  }
  return merged;
}

}  // namespace weightmap::checkpoint
