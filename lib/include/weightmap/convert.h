// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

namespace weightmap {

// What part of a checkpoint to take, and how strictly.
struct CheckpointOptions {
  // Dotted path of a sub-dictionary that becomes the top: "model". Empty: the whole object.
  std::string root;
  // Refuse every class that torch.load(weights_only=True) refuses, instead of keeping its objects
  // as opaque records.
  bool strict_globals = false;
};

struct ConvertOptions {
  CheckpointOptions checkpoint;
  std::uint32_t alignment_bytes = 64;  // a power of two, 64 to 2 MiB
  bool replace_any = false;  // replace a target that is no weight file; a weight file always is
  bool sync = true;          // on the disk before the name appears
  // Called now and then with bytes done and to do; false stops the work: kCancelled, and the
  // target is untouched.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct ConvertReport {
  std::string source_kind;  // "zip checkpoint"
  std::uint32_t tensor_count = 0;
  std::uint32_t segment_count = 0;  // ranges of bytes; fewer than tensors when some share
  std::uint64_t data_bytes = 0;     // of all segments
  std::uint64_t file_bytes = 0;
  Digest digest;                            // of the index: stands for the whole content
  std::vector<std::string> opaque_classes;  // kept as records that are not understood
};

// Writes `target` as a weight file with everything that the checkpoint `source` holds: a file, an
// index of shards, or the directory of an index or of torch.distributed.checkpoint. Nothing of the
// source is executed. Memory does not grow with the tensors' bytes. Whatever goes wrong, and
// if the process is killed, the old target stays as it was.
// Errors: kNotFound, kIo; kWrongKind, kCorrupt, kUnsafe (the source); kUnsupported (something in
// it that cannot be kept, by name); kExists (the target is no weight file and replace_any is not
// set); kInvalidArgument (source and target are one file, alignment, root); kCancelled.
// Messages begin with the path that they are about.
Result<ConvertReport> convert_checkpoint(const std::string& source,
                                         const std::string& target,
                                         const ConvertOptions& options = {});

// A checkpoint as it would be converted, without reading its tensors' bytes.
struct CheckpointTensor {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;       // in elements
  std::optional<std::uint32_t> segment;    // tensors of one segment share its bytes
  std::uint32_t file = 0;                  // in CheckpointContent::files
  std::uint64_t offset_bytes = 0;          // of the first element, in that file; of what is put
                                           // together from several places, in the segment
  std::uint64_t extent_bytes = 0;          // from its first byte to its last
  std::uint64_t segment_offset_bytes = 0;  // in that file
  std::uint64_t segment_size_bytes = 0;
  std::uint16_t flags = 0;  // FORMAT.md 3
};

struct CheckpointFile {
  std::string path;
  std::uint64_t size_bytes = 0;
};

struct CheckpointModule {
  std::string path;
  std::int64_t version = 0;
};

struct CheckpointContent {
  std::string source_kind;
  std::uint64_t size_bytes = 0;           // of all files
  std::vector<CheckpointFile> files;      // the one that was given, then the others
  std::vector<CheckpointTensor> tensors;  // in definition order
  std::vector<CheckpointModule> modules;
  ValueGraph values;  // a kTensor node's number is a place in `tensors`
  std::vector<std::string> opaque_classes;
};

// Errors: those of convert_checkpoint about its source.
Result<CheckpointContent> read_checkpoint(const std::string& path,
                                          const CheckpointOptions& options = {});

}  // namespace weightmap
