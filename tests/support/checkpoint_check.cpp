// SPDX-License-Identifier: Apache-2.0
#include "support/checkpoint_check.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace weightmap::tests {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Storage;
using checkpoint::Tensor;
__extension__ using Wide = __int128;

bool storages_are_apart(const Checkpoint& found) {
  std::vector<Storage> storages = found.storages;
  std::ranges::sort(storages, {}, [](const Storage& storage) {
    return std::pair(storage.file, storage.offset_bytes);
  });
  Wide end = 0;
  std::uint32_t file = 0;
  for (const Storage& storage : storages) {
    if (storage.file >= found.files.size()) return false;
    if (storage.packing == checkpoint::Packing::kChunked) continue;
    if (storage.file != file) end = 0;
    file = storage.file;
    if (storage.size_bytes == 0 || Wide{storage.offset_bytes} < end) return false;
    end = Wide{storage.offset_bytes} + storage.packed_bytes;
    if (end > Wide{found.files[file].size_bytes()}) return false;
  }
  return true;
}

bool has_places(const Checkpoint& found, const Tensor& tensor) {
  return tensor.rank <= 64 && tensor.dims_begin + 2U * tensor.rank <= found.dims.size() &&
         (tensor.storage == checkpoint::kNoStorage || tensor.storage < found.storages.size());
}

bool is_inside(const Checkpoint& found, const Tensor& tensor) {
  Wide last = 0;
  bool is_empty = false;
  for (std::size_t i = 0; i < tensor.rank; ++i) {
    const std::int64_t size = found.shape(tensor)[i];
    const std::int64_t stride = found.strides(tensor)[i];
    if (size < 0 || stride < 0) return false;
    is_empty = is_empty || size == 0;
    last += (Wide{size} - 1) * stride;
  }
  if (tensor.meta || tensor.uninitialized) return tensor.storage == checkpoint::kNoStorage;
  if (tensor.storage == checkpoint::kNoStorage) return is_empty && tensor.offset_bytes == 0;
  const Wide bits = (last + 1) * dtype_info(tensor.dtype).element_bits;
  const Wide extent = is_empty ? 0 : (bits + 7) / 8;
  return Wide{tensor.offset_bytes} + extent <= Wide{found.storages[tensor.storage].size_bytes};
}

bool is_in_order(const Checkpoint& found, std::uint32_t number) {
  const ValueGraph& graph = found.values;
  const ValueNode& node = graph.node(number);
  if (Wide{node.text_begin} + node.text_size > Wide(graph.all_text().size()) ||
      Wide{node.first_child} + node.child_count > Wide(graph.all_children().size())) {
    return false;
  }
  if (node.kind == ValueKind::kTensor && node.number >= found.tensors.size()) return false;
  return std::ranges::all_of(graph.children(number),
                             [&](std::uint32_t child) { return child < number; });
}

// Each part is one composite's only, and no node names it.
bool parts_are_apart(const Checkpoint& found) {
  std::vector<int> uses(found.tensors.size());
  for (const checkpoint::Composite& composite : found.composites) {
    for (const checkpoint::CompositePart& part : composite.parts) {
      if (part.tensor >= uses.size() || part.role.empty() || ++uses[part.tensor] > 1) return false;
    }
  }
  return std::ranges::all_of(found.values.nodes(), [&](const ValueNode& node) {
    if (node.kind == ValueKind::kComposite) return node.number < found.composites.size();
    return node.kind != ValueKind::kTensor || (node.number < uses.size() && uses[node.number] == 0);
  });
}

}  // namespace

std::string broken_promise(const Checkpoint& found) {
  if (!storages_are_apart(found)) return "storages are not apart and inside the file";
  for (const Tensor& tensor : found.tensors) {
    if (!has_places(found, tensor)) return "a tensor has no dims or no storage";
    if (!is_inside(found, tensor)) return "a tensor is not inside its storage";
  }
  if (!parts_are_apart(found)) return "a part is not one composite's alone";
  if (found.values.empty()) return "there is no value";
  for (std::uint32_t node = 0; node < found.values.size(); ++node) {
    if (!is_in_order(found, node)) return "a node is out of order";
  }
  return "";
}

}  // namespace weightmap::tests
