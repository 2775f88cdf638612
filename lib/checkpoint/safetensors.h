// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"

#include "checkpoint/checkpoint.h"
#include "io/file.h"

namespace weightmap::checkpoint {

// One safetensors file: 8 bytes with the length of a JSON header, the header, the data. As
// open_checkpoint. The root is a dict of name to tensor in the order of the data, as
// safetensors.torch.load_file returns it; `__metadata__` is an attribute of that dict.
//
// kCorrupt, as in the reference reader (safetensors 0.8.0): a header of more than 100,000,000 bytes
// or than the file has; no JSON object in UTF-8 (blanks around it are taken); `__metadata__` twice
// or no map of strings to strings; a tensor without dtype, shape or data_offsets, or with one
// twice; a dtype that is not known; a size that is no integer from 0 to 2^63 - 1; sizes whose
// product with the element's bits overflows, is no whole number of bytes or is not the length of
// the range; data that do not begin at 0, leave holes, overlap or end before or after the file
// does. Beyond the reference, which takes the last: kCorrupt for a name, or a key of the metadata,
// twice. kUnsupported: F6_E2M3 and F6_E3M2, which PyTorch has no dtype for; F4 with an odd last
// size, as PyTorch's float4_e2m1fn_x2 holds two in an element; more than 64 dimensions; a field
// that no writer is known to write.
Result<Checkpoint> read_safetensors(io::File file, const ReadOptions& options);

}  // namespace weightmap::checkpoint
