// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/digest.h"

// A weight file as plain numbers, all of which can be wrong, and a writer of its own that shares
// nothing with the library's.
namespace weightmap::tests {

using Bytes = std::vector<std::byte>;

struct RawEntry {
  std::uint64_t name_hash = 0;
  std::uint64_t offset_bytes = 0;
  std::uint32_t segment = 0;
  std::uint32_t name_begin = 0;
  std::uint32_t shape_begin = 0;
  std::uint32_t strides_begin = 0;
  std::uint16_t name_size = 0;
  std::uint16_t flags = 0;
  std::uint8_t dtype = 6;
  std::uint8_t rank = 0;
  std::uint16_t reserved = 0;
};

struct RawOrder {
  std::uint32_t hash_top = 0;
  std::uint32_t entry = 0;
};

struct RawSegment {
  std::uint64_t offset_bytes = 0;  // of the file itself: from the start of the blob
  std::uint64_t size_bytes = 0;
};

struct RawDataFile {
  std::string name;
  std::uint8_t kind = 0;
  std::uint64_t size_bytes = 0;  // of the first: added to the size of the file
  std::uint32_t alignment_bytes = 64;
  std::optional<Digest> identity;
  std::uint32_t first_segment = 0;
  std::uint32_t segment_count = 0;
};

struct RawPart {
  std::string role;
  std::uint32_t entry = 0;
};

struct RawComposite {
  std::string name;
  std::uint8_t kind = 0;
  std::uint8_t dtype = 6;
  std::uint16_t flags = 0;
  std::vector<std::int64_t> shape;
  std::vector<RawPart> parts;
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
  std::string class_name;
};

struct RawModule {
  std::int64_t version = 0;
  std::uint32_t path_begin = 0;
  std::uint32_t path_size = 0;
};

struct RawIndex {
  std::vector<RawEntry> entries;
  std::string names;
  std::vector<std::int64_t> dims;
  std::vector<RawOrder> order;
  std::vector<std::uint32_t> buckets;
  std::vector<RawSegment> segments;
  std::vector<RawDataFile> data_files;
  std::size_t repeats_of_last_data_file = 0;  // more offsets that lead to the same table
  std::vector<RawComposite> composites;
  std::vector<RawModule> modules;
  std::string module_paths;
  bool has_structure_digest = true;
  bool has_extras_digest = true;
  std::optional<Digest> structure_digest;  // nothing: the right one
};

struct RawNode {
  std::uint8_t kind = 0;
  std::uint64_t number = 0;
  std::uint32_t first_child = 0;
  std::uint32_t child_count = 0;
  std::uint32_t text_begin = 0;
  std::uint32_t text_size = 0;
  std::uint8_t flags = 0;
  std::uint8_t reserved = 0;  // the first of the six
};

struct RawExtras {
  std::vector<Digest> segment_digests;
  std::vector<Digest> chunk_digests;
  std::vector<RawNode> nodes;
  std::vector<std::uint32_t> children;
  std::string text;
  std::string producer;
};

struct RawFile {
  std::uint64_t required_features = 0;
  std::uint32_t alignment_bytes = 64;
  RawIndex index;
  RawExtras extras;
  Bytes blob;
  Bytes index_tail;  // appended to the index, behind the FlatBuffer
};

// Puts the tensor at the end, its name and its dims into the pools.
struct NewTensor {
  std::string name;
  std::uint8_t dtype = 6;
  std::uint16_t flags = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::uint32_t segment = 0xFFFFFFFFU;
  std::uint64_t offset_bytes = 0;
};
void add_tensor(RawIndex& index, const NewTensor& tensor);

std::uint32_t add_node(RawExtras& extras,
                       std::uint8_t kind,
                       std::uint64_t number = 0,
                       const std::string& text = {},
                       const std::vector<std::uint32_t>& children = {},
                       bool has_attributes = false);

void add_module(RawIndex& index, const std::string& path, std::int64_t version);

// Hashes of the names, `order` and `buckets` as they should be.
void rehash(RawIndex& index);

// The digests of all own segments, which are shorter than a chunk, put where they belong.
void record_own_digests(RawFile& file);

// A valid file: parameters, a buffer, a tied name, a view, quantized parts of 4 bits, a conjugate,
// meta, lazy and empty tensors, two composites, a sibling with a segment of three chunks, modules,
// nodes of many kinds.
RawFile sample_file();

// The whole file, signed. Anything may be wrong but what is computed: the places in the header,
// the digests.
Bytes write_raw(const RawFile& file);

// As write_raw, but what the index and the extras look like is given.
Bytes write_raw_index(const RawFile& file, const Digest& extras_digest, std::uint64_t blob_offset);
Bytes write_raw_extras(const RawExtras& extras);

}  // namespace weightmap::tests
