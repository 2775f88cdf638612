// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weightmap/convert.h"
#include "weightmap/diagnosis.h"
#include "weightmap/result.h"

#include "listing.h"

// Keys alone, from whatever says them: no tensor's bytes are read.
namespace weightmap::tool {

struct KeyList {
  std::string path;
  std::string kind;  // "spec", "list of names", else as Listing has it
  std::vector<KeyFacts> keys;
  std::shared_ptr<const void> owner;  // of what the keys refer to
};

// A spec, which inspect --spec writes, is told by its first field, "format" or "keys"; a list of
// names, one a line, by the extension .txt.
bool is_spec_or_names(const std::string& path);

// Errors: those of list_any; kCorrupt (a spec that is none, a name twice), kUnsupported (more than
// 100 MB of it), kInvalidArgument (a root for what has none). Messages begin with the path.
Result<KeyList> read_keys(const std::string& path, const CheckpointOptions& options);

void print_spec(const Listing& listing);

}  // namespace weightmap::tool
