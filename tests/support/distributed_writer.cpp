// SPDX-License-Identifier: Apache-2.0
#include "support/distributed_writer.h"

#include <cstring>
#include <functional>
#include <numeric>

#include "support/checkpoint_writer.h"

namespace weightmap::tests {
namespace {

const std::string kMetadataModule = "torch.distributed.checkpoint.metadata";

std::string new_object(std::string_view module, std::string_view name) {
  return pickle::stack_global(module, name) + ")\x81";
}

}  // namespace

namespace dcp {

std::string size(const std::vector<std::int64_t>& sizes) {
  return pickle::call(pickle::global("torch", "Size"), {pickle::sizes(sizes)});
}

std::string object(std::string_view class_name, const std::vector<std::string>& fields) {
  const bool is_info = class_name == "_StorageInfo";
  return new_object(is_info ? "torch.distributed.checkpoint.filesystem" : kMetadataModule,
                    class_name) +
         pickle::dict(fields) + "b";
}

std::string properties(std::string_view dtype) {
  const std::string layout = pickle::call(pickle::global("torch.serialization", "_get_layout"),
                                          {pickle::text("torch.strided")});
  const std::string format =
      pickle::call(pickle::global(kMetadataModule, "_MEM_FORMAT_ENCODING"), {pickle::integer(0)});
  return new_object(kMetadataModule, "TensorProperties") +
         pickle::tuple({pickle::global("torch", dtype), layout, pickle::boolean(false), format,
                        pickle::boolean(false)}) +
         "b";
}

std::string chunk(const DcpChunkText& chunk) {
  return object("ChunkStorageMetadata", {pickle::text("offsets"), size(chunk.offsets),
                                         pickle::text("sizes"), size(chunk.sizes)});
}

std::string tensor(const std::vector<std::int64_t>& shape,
                   const std::vector<DcpChunkText>& chunks,
                   std::string_view dtype) {
  std::vector<std::string> items;
  for (const DcpChunkText& text : chunks)
    items.push_back(chunk(text));
  return object("TensorStorageMetadata",
                {pickle::text("properties"), properties(dtype), pickle::text("size"), size(shape),
                 pickle::text("chunks"), pickle::list(items)});
}

std::string bytes() {
  return new_object(kMetadataModule, "BytesStorageMetadata");
}

std::string index(std::string_view name, const std::optional<std::vector<std::int64_t>>& offsets) {
  std::vector<std::string> fields{pickle::text("fqn"), pickle::text(name)};
  if (offsets) fields.insert(fields.end(), {pickle::text("offset"), size(*offsets)});
  return object("MetadataIndex", fields);
}

std::string info(std::string_view file, std::uint64_t offset, std::uint64_t length) {
  return object("_StorageInfo",
                {pickle::text("relative_path"), pickle::text(file), pickle::text("offset"),
                 pickle::integer(static_cast<std::int64_t>(offset)), pickle::text("length"),
                 pickle::integer(static_cast<std::int64_t>(length))});
}

std::string whole(const Metadata& metadata) {
  return pickle::proto(4) +
         object("Metadata", {pickle::text("state_dict_metadata"), pickle::dict(metadata.entries),
                             pickle::text("planner_data"), pickle::dict(metadata.paths),
                             pickle::text("storage_data"), pickle::dict(metadata.storage)}) +
         ".";
}

}  // namespace dcp

std::string saved_tensor(const std::vector<std::int64_t>& shape,
                         float first,
                         const std::vector<std::int64_t>& strides) {
  const auto count =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  std::string bytes(static_cast<std::size_t>(count) * sizeof(float), '\0');
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = first + static_cast<float>(i);
    std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof value, &value, sizeof value);
  }
  return checkpoint_file(
      pickle::whole(pickle::tensor({.numel = count, .shape = shape, .strides = strides})),
      {{"0", bytes}});
}

}  // namespace weightmap::tests
