// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A directory of torch.distributed.checkpoint piece by piece, as pickletools shows those of 2.13.
// Everything that can be written can be written wrong.
namespace weightmap::tests {

struct DcpChunkText {
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> sizes;
};

// A pickled value each, without PROTO and STOP.
namespace dcp {

std::string size(const std::vector<std::int64_t>& sizes);  // torch.Size
std::string object(std::string_view class_name, const std::vector<std::string>& fields);
std::string properties(std::string_view dtype = "float32");
std::string chunk(const DcpChunkText& chunk);
std::string tensor(const std::vector<std::int64_t>& shape,
                   const std::vector<DcpChunkText>& chunks,
                   std::string_view dtype = "float32");
std::string bytes();  // a BytesStorageMetadata

// Key and value of storage_data.
std::string index(std::string_view name, const std::optional<std::vector<std::int64_t>>& offsets);
std::string info(std::string_view file, std::uint64_t offset, std::uint64_t length);

struct Metadata {
  std::vector<std::string> entries;  // name, value ...
  std::vector<std::string> storage;  // index, info ...
  std::vector<std::string> paths;    // name, path ...
};
std::string whole(const Metadata& metadata);  // with PROTO and STOP

}  // namespace dcp

// What torch.save writes of a float32 tensor whose elements count up from `first`.
std::string saved_tensor(const std::vector<std::int64_t>& shape,
                         float first,
                         const std::vector<std::int64_t>& strides);

}  // namespace weightmap::tests
