// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// What safetensors cannot say, and what to do about it. By default it is refused by name.
struct SafetensorsOptions {
  bool contiguous = false;      // write tensors with gaps or another order in row-major order
  bool duplicate_ties = false;  // write bytes that several tensors share once for each
  bool drop_extras = false;     // leave out values that are no tensors, and module versions
  bool drop_tensors = false;    // leave out tensors that safetensors cannot hold
  // Where the tensors' bytes begin is a multiple of it: a power of two, 8 to 2 MiB.
  std::uint32_t alignment_bytes = 8;
};

struct ExportOptions {
  bool replace_any = false;  // replace a target of another kind; one of the same kind always is
  bool sync = true;          // on the disk before the name appears
  // Leave out objects of unknown classes, which are never written into a pickle, instead of
  // refusing: a dictionary's key goes with its object, in a list or tuple None stands for it, and
  // for the whole checkpoint its tensors by their names. So are tensors that a module has beside
  // its state dict.
  bool drop_opaque = false;
  SafetensorsOptions safetensors;
  // How many tensors or storages are read, checked and written at the same time: as in
  // ConvertOptions.
  unsigned jobs = 0;
  // Called before there is anything of the target, and now and then, with bytes done and to do,
  // by the caller's thread; false stops the work: kCancelled, and the target is untouched.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct ExportReport {
  std::uint32_t tensor_count = 0;  // written, those that several names share once
  std::uint64_t data_bytes = 0;    // of the tensors, as they stand in the target
  std::uint64_t file_bytes = 0;
  std::vector<std::string> dropped;  // what was left out, each with its place
  bool checked = true;  // all bytes were held against their digests; else some have none
};

// Both write what a weight file holds into a format of others. Every byte is held against its
// digest on its way. Memory does not grow with the tensors' bytes. Whatever goes wrong, and if the
// process is killed, the old target stays as it was.
// Errors: kIo; kCorrupt (the weight file's bytes are not what was written, naming tensors);
// kUnsupported (what the target's format cannot say, by name; where an option resolves it, the
// message says its name as above); kExists (the target is of another
// kind and replace_any is not set); kInvalidArgument (the target is the weight file itself or one
// of its data files); kCancelled. Messages begin with the path that they are about.

// Writes `target` as torch.save of 2.13 writes the object that the weight file came from: as
// torch.load sees it, types, order, values, and which tensors share bytes are the same. For a whole
// pickled module stands its state dict, an OrderedDict in which parameters stay parameters, and for
// a TorchScript archive one of its tensors by their names; the report says so, and what buffers
// that are not persistent were left out.
// Further errors: kUnsupported (opaque objects, and tensors that a module has beside its state
// dict, as attributes and quantized weights are, unless drop_opaque), kUnsafe (a class or function
// that only an attack names). The same content gives the same bytes, whatever the target's name.
Result<ExportReport> export_torch(const WeightFile& file,
                                  const std::string& target,
                                  const ExportOptions& options = {});

// Writes `target` as the reference library writes the tensors under their names: sorted by dtype
// and name, in row-major order, `__metadata__` as the checkpoint had it, else {"format": "pt"}.
// What safetensors cannot say is refused by name unless options.safetensors says otherwise: ties,
// strides, values that are no tensors, module versions, tensors without values, quantized, sparse,
// conjugated ... ones; whether a tensor is a parameter, requires_grad, and how containers nest is
// not written. Memory: 16 MiB a job for tensors that are not in row-major order, of any size.
// Further errors: kInvalidArgument (alignment).
Result<ExportReport> export_safetensors(const WeightFile& file,
                                        const std::string& target,
                                        const ExportOptions& options = {});

}  // namespace weightmap
