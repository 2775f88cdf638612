// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/state_dict.h"

namespace weightmap {

class Module;

struct SaveOptions {
  // Of a module: parameters stay parameters; without, every tensor is a plain one, as in PyTorch.
  bool keep_vars = false;
  std::uint32_t alignment_bytes = 64;  // a power of two, 64 to 2 MiB
  bool replace_any = false;  // replace a target that is no weight file; a weight file always is
  bool sync = true;          // on the disk before the name appears
  std::string producer;      // what the file says of who wrote it; empty: this library
  // How many segments are copied, hashed and written at the same time: as in ConvertOptions.
  unsigned jobs = 0;
  // Called before there is anything of the target, now and then, and when the last byte is written,
  // with bytes done and to do, by the caller's thread; false stops the work: kCancelled, and the
  // target is untouched.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct SaveReport {
  std::uint32_t tensor_count = 0;   // entries, parts of composites and what values hold among them
  std::uint32_t segment_count = 0;  // ranges of bytes; fewer than tensors when some share
  std::uint64_t data_bytes = 0;     // of all segments
  std::uint64_t file_bytes = 0;
  Digest digest;  // of the index: stands for the whole content
};

// Writes `target` as a weight file that holds the state dict: what convert_checkpoint makes of
// `torch.save(state_dict)`, with the same bytes for the same content. Tensors whose storages are
// one or overlap share a segment, at their distances; of storages, only what lies between the first
// and the last byte that a tensor reaches is written. Tensors under several keys stay one object
// where they are one in the file that they come from. The bytes must not change meanwhile; they may
// lie in the very file that is replaced. Memory does not grow with them. Whatever goes wrong, and
// if the process is killed, the old target stays as it was.
// Errors: kExists (the target is no weight file and replace_any is not set); kInvalidArgument
// (alignment; a tensor whose bytes are not there, by its key); kUnsupported (a key that no tensor
// can have, two tensors of one name; the message says which); kNotFound (no such directory), kIo,
// kCancelled, and kCorrupt, kIo of a file that a composite lies in. Messages begin with the target.
Result<SaveReport> save(const StateDict& state_dict,
                        const std::string& target,
                        const SaveOptions& options = {});

// The same for Module::state_dict. Errors: kInvalidArgument, too, for a wrong registration.
Result<SaveReport> save(Module& module, const std::string& target, const SaveOptions& options = {});

}  // namespace weightmap
