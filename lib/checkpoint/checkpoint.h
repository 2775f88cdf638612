// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/composite.h"
#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "checkpoint/chunked_storage.h"
#include "checkpoint/globals.h"
#include "io/file.h"

// What every kind of checkpoint comes down to: tensors over storages, and the object that holds
// them. The storages' bytes stay in the file.
namespace weightmap::checkpoint {

inline constexpr std::uint32_t kNoStorage = 0xFFFFFFFFU;

// How the bytes of a storage lie in its file.
enum class Packing : std::uint8_t {
  kNone,      // as they are
  kDeflated,  // as one DEFLATE stream
  kChunked,   // in several places: Checkpoint::chunked has them, `offset_bytes` and `packed_bytes`
              // are 0
};

// Bytes that tensors view: a range of one of the source's files. Ranges of two storages never
// overlap. StorageReader (storage_reader.h) reads them.
struct Storage {
  std::string key;                 // as the source calls it, for messages
  std::uint32_t file = 0;          // in Checkpoint::files
  std::uint64_t offset_bytes = 0;  // in the file
  std::uint64_t packed_bytes = 0;  // in the file
  std::uint64_t size_bytes = 0;    // unpacked; not 0
  Packing packing = Packing::kNone;
  std::uint8_t swapped_bytes = 1;      // units of so many bytes are big-endian: 1, 2, 4, 8
  std::optional<std::uint32_t> crc32;  // of the unpacked bytes as stored, where the source says it
  std::uint32_t chunked = 0;           // of kChunked: in Checkpoint::chunked

  // Whether a reader of the file may use its bytes in place.
  bool is_plain() const { return packing == Packing::kNone && swapped_bytes == 1; }
};

struct Tensor {
  Dtype dtype = Dtype::kFloat32;
  std::uint32_t storage = kNoStorage;  // none: meta, uninitialized, or a storage of no bytes
  std::uint64_t offset_bytes = 0;      // of the first element, in the storage
  std::uint32_t dims_begin = 0;        // shape, then strides, in Checkpoint::dims
  std::uint8_t rank = 0;
  bool requires_grad = false;
  bool is_parameter = false;
  bool is_buffer = false;  // of its module, where the source says so; never a parameter, too
  bool conj = false;
  bool neg = false;
  bool meta = false;
  bool uninitialized = false;
};

struct CompositePart {
  std::string role;          // "values": FORMAT.md 3 names them
  std::uint32_t tensor = 0;  // in Checkpoint::tensors; no other part's and no kTensor node's
};

// One object that several tensors make up: quantized, sparse, nested ... Of a tensor subclass, the
// tensors in its node's attributes are parts, too.
struct Composite {
  CompositeKind kind = CompositeKind::kQuantizedPerTensor;
  Dtype dtype = Dtype::kFloat32;  // of what it stands for, as its flags and shape are
  bool requires_grad = false;
  bool is_parameter = false;
  bool is_buffer = false;  // as a tensor's
  std::vector<std::int64_t> shape;
  std::vector<CompositePart> parts;
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
  std::string class_name;  // wrapper_subclass: "module.Class"
};

// A record that was read and whose bytes are not those that the source's CRC was made of: damaged,
// or by a writer that does not compute them. PyTorch looks at none.
struct CrcMismatch {
  std::uint32_t file = 0;  // in Checkpoint::files
  std::string record;      // as the source calls it
};

struct Checkpoint {
  std::vector<io::File> files;  // at least one
  std::string kind;             // for people: "zip checkpoint"
  std::vector<Storage> storages;
  std::vector<ChunkedStorage> chunked;
  std::vector<Tensor> tensors;     // one a tensor object, in order of first mention, file by file
  std::vector<std::int64_t> dims;  // of all tensors
  std::vector<Composite> composites;
  // The devices other than `cpu` that storages were saved from, some of them. Not kept otherwise:
  // the bytes are the same everywhere.
  std::set<std::string> locations;
  // The whole object; the number of a kTensor node is a place in `tensors`, that of a kComposite
  // node one in `composites`.
  ValueGraph values;
  std::vector<CrcMismatch> crc_mismatches;  // of what was read whole to get here

  std::span<const std::int64_t> shape(const Tensor& tensor) const {
    return std::span(dims).subspan(tensor.dims_begin, tensor.rank);
  }
  std::span<const std::int64_t> strides(const Tensor& tensor) const {
    return std::span(dims).subspan(tensor.dims_begin + tensor.rank, tensor.rank);
  }
};

struct ReadOptions {
  bool strict_globals = false;  // refuse every class that torch.load(weights_only=True) would
  // If given: list the classes and functions that the pickles name, and refuse none. The checkpoint
  // may then have no storages, tensors and values.
  GlobalList* globals = nullptr;
  // Refuse what has data files that hold several archives end to end, before any of them is read:
  // they have no directory that would tell a whole file from another.
  bool whole_files = false;
};

// Reads the directory and the pickle of a checkpoint, not its storages. The path is that of a file;
// of an index of shards (shard_index.h) or the directory that holds one; or of the directory, or
// its
// `.metadata`, that torch.distributed.checkpoint wrote (distributed.h). Nothing in the file is
// executed. Every tensor of the result lies inside its storage, every storage inside its file and
// apart from the others. A tensor node has an attributes child where the tensor has Python
// attributes; names of classes are those of today's Python and PyTorch (`builtins`).
// Errors: kNotFound, kIo, kInvalidArgument (not a regular file); kWrongKind (the message names
// what the file is and, when certain, what to do); kCorrupt; kUnsupported (named: a quantized
// tensor, an encrypted record ...); kUnsafe (a class or function that only an attack names, or
// that strict_globals refuses). Messages begin with the path.
// Memory: a constant and a constant factor of the directory's and the pickle's size, whatever
// they repeat.
Result<Checkpoint> open_checkpoint(const std::string& path, const ReadOptions& options);

}  // namespace weightmap::checkpoint
