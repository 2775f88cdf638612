// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/digest.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "checkpoint/checkpoint.h"
#include "convert/plan.h"
#include "io/file.h"

namespace weightmap::convert {

// What is converted: a checkpoint, or a weight file, whose data files are the checkpoint's files
// then and whose segments its storages. Holds the files open.
struct Source {
  checkpoint::Checkpoint checkpoint;      // of a weight file: without tensors and values
  std::optional<WeightFile> weight_file;  // nothing: the source is none
  std::vector<Digest> digests;            // by storage of a weight file; zero: none is recorded
};

// The file itself and the data files beside it, by their numbers. REQUIRES: opened by its path,
// with all data files.
std::vector<io::File> files_of(const WeightFile& file);

// Errors: those of convert_checkpoint about its source.
Result<Source> open_source(const std::string& path, const CheckpointOptions& options);

// Errors: those of make_plan (plan.h).
Result<Plan> make_source_plan(const Source& source, const ConvertOptions& options);

}  // namespace weightmap::convert
