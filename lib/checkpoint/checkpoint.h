// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/dtype.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

#include "io/file.h"

// What every kind of checkpoint comes down to: tensors over storages, and the object that holds
// them. The storages' bytes stay in the file.
namespace weightmap::checkpoint {

inline constexpr std::uint32_t kNoStorage = 0xFFFFFFFFU;

// A range of bytes in the source file that tensors view. Ranges of two storages never overlap.
struct Storage {
  std::string key;  // as the file calls it, for messages
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

struct Tensor {
  Dtype dtype = Dtype::kFloat32;
  std::uint32_t storage = kNoStorage;  // none: meta, uninitialized, or a storage of no bytes
  std::uint64_t offset_bytes = 0;      // of the first element, in the storage
  std::uint32_t dims_begin = 0;        // shape, then strides, in Checkpoint::dims
  std::uint8_t rank = 0;
  bool requires_grad = false;
  bool is_parameter = false;
  bool conj = false;
  bool neg = false;
  bool meta = false;
  bool uninitialized = false;
};

struct Checkpoint {
  io::File file;
  std::string kind;  // for people: "zip checkpoint"
  std::vector<Storage> storages;
  std::vector<Tensor> tensors;     // one a tensor object, in order of first mention
  std::vector<std::int64_t> dims;  // of all tensors
  ValueGraph values;  // the whole object; a kTensor node's number is a place in `tensors`

  std::span<const std::int64_t> shape(const Tensor& tensor) const {
    return std::span(dims).subspan(tensor.dims_begin, tensor.rank);
  }
  std::span<const std::int64_t> strides(const Tensor& tensor) const {
    return std::span(dims).subspan(tensor.dims_begin + tensor.rank, tensor.rank);
  }
};

struct ReadOptions {
  bool strict_globals = false;  // refuse every class that torch.load(weights_only=True) would
};

// Reads the directory and the pickle of a checkpoint, not its storages. Nothing in the file is
// executed. Every tensor of the result lies inside its storage, every storage inside the file and
// apart from the others. A tensor node has an attributes child where the tensor has Python
// attributes; names of classes are those of today's Python and PyTorch (`builtins`).
// Errors: kNotFound, kIo, kInvalidArgument (not a regular file); kWrongKind (the message names
// what the file is and, when certain, what to do); kCorrupt; kUnsupported (named: a quantized
// tensor, a compressed record ...); kUnsafe (a class or function that only an attack names, or
// that strict_globals refuses). Messages begin with the path.
// Memory: a constant and a constant factor of the directory's and the pickle's size, whatever
// they repeat.
Result<Checkpoint> open_checkpoint(const std::string& path, const ReadOptions& options);

}  // namespace weightmap::checkpoint
