// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/composite.h"
#include "weightmap/digest.h"
#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "format/extras_view.h"
#include "format/header.h"
#include "format/index_view.h"

// What a weight file says, before it is bytes: what a converter fills in.
namespace weightmap::format {

struct TensorContent {
  std::string name;
  Dtype dtype = Dtype::kFloat32;  // REQUIRES: one of the enumerators
  std::uint16_t flags = 0;        // EntryFlag
  std::uint32_t segment = kNoSegment;
  std::uint64_t offset_bytes = 0;  // in the segment
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

struct ModuleContent {
  std::string path;
  std::int64_t version = 0;
};

struct PartContent {
  std::string role;
  std::uint32_t tensor = 0;  // in Content::tensors: one with the flag part
};

struct CompositeContent {
  std::string name;
  CompositeKind kind = CompositeKind::kQuantizedPerTensor;
  Dtype dtype = Dtype::kFloat32;
  std::uint16_t flags = 0;  // EntryFlag
  std::vector<std::int64_t> shape;
  std::vector<PartContent> parts;
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
  std::string class_name;
};

// A file beside the weight file that holds segments.
struct DataFileContent {
  std::string name;  // one path component
  fb::DataFileKind kind = fb::DataFileKind::zip;
  std::uint64_t size_bytes = 0;
  std::uint32_t alignment_bytes = 1;
  Digest identity;
  std::vector<Range> segments;  // in the file, ascending
  bool has_digests = true;      // false: nothing is recorded of its segments' bytes
};

struct Content {
  std::vector<TensorContent> tensors;              // in definition order
  std::vector<CompositeContent> composites;        // ascending by name, bytewise
  std::vector<std::uint64_t> segment_sizes_bytes;  // of the weight file itself, as they stand in it
  std::vector<DataFileContent> data_files;         // their segments follow those, file by file
  std::vector<ModuleContent> modules;              // in any order, paths unique
  ValueGraph values;
  std::string producer;
  std::uint32_t alignment_bytes = kMinAlignmentBytes;
};

// Where everything goes: decided before a byte of data is read.
struct Layout {
  Header header;                // all but its index_digest
  std::vector<Range> segments;  // places in the file
  std::uint64_t file_size_bytes = 0;
};

// Errors: kInvalidArgument, naming the rule and the tensor, module or node, for content that could
// be no valid file (every rule is tried, so nothing of it is left for encode_front to refuse);
// kUnsupported for what exceeds the format's limits (FORMAT.md 6).
Result<Layout> lay_out(const Content& content);

// What the data pass found out: the digests of all segments and of all chunks of longer ones, each
// in the order of the segments, as SegmentDigester gives them; a zero digest and no chunks for
// those of a data file without digests.
struct ContentDigests {
  std::vector<Digest> segments;
  std::vector<Digest> chunks;
};

// Header, index and extras as they stand at the start of the file, padding included, up to
// layout.header.blob.offset_bytes. Deterministic. Before it returns, the result is read back
// with every rule of the format (R1 to R26); a broken one is a bug and comes back as kCorrupt.
// REQUIRES: layout is that of the content. Errors: kInvalidArgument for digests that are not as
// many as the content has segments and chunks.
Result<std::vector<std::byte>> encode_front(const Content& content,
                                            const Layout& layout,
                                            const ContentDigests& digests);

}  // namespace weightmap::format
