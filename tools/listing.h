// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/value_graph.h"
#include "weightmap/weight_file.h"

#include "terminal.h"

namespace weightmap::tool {

struct ListedTensor {
  TensorView view;                       // without data: a listing reads no tensor's bytes
  std::optional<std::uint32_t> segment;  // in Listing::segments; none: the tensor has no bytes
  std::uint64_t offset_bytes = 0;        // of the first element, in the data file
  std::uint64_t size_bytes = 0;          // from the first to the last byte that it refers to
};

// What is in a weight file, or what would be in that of a checkpoint. Move-only in practice: names,
// shapes and strides are views into what `owner` keeps.
struct Listing {
  std::string path;
  std::string kind;                           // "weight file", "zip checkpoint"
  std::optional<std::string> format_version;  // these three: only of a weight file
  std::optional<Digest> digest;
  std::optional<std::uint64_t> alignment_bytes;
  std::uint64_t size_bytes = 0;
  std::vector<DataFileInfo> data_files;
  std::vector<ListedTensor> tensors;
  std::vector<CompositeView> composites;  // their parts are among the tensors
  std::vector<SegmentInfo> segments;
  std::vector<ModuleVersion> modules;
  ValueGraph values;
  std::shared_ptr<const void> owner;
};

Listing list_weight_file(const WeightFile& file);  // without values
Listing list_checkpoint(const std::string& path, CheckpointContent content);

// Whatever the file is, with its values. Errors: those of WeightFile::open and read_checkpoint;
// kInvalidArgument (a root for a weight file).
Result<Listing> list_any(const std::string& path, const CheckpointOptions& options);

std::uint64_t data_bytes(const Listing& listing);  // of all segments

// How many bytes more the tensors would take if none shared any with another one.
std::uint64_t shared_bytes(const Listing& listing);

std::string totals_text(const Listing& listing);  // "20 tensors in 18 segments, 1.5 MiB"
void print_listing_table(const Listing& listing, const Screen& screen);
void print_listing_json(const Listing& listing);

}  // namespace weightmap::tool
