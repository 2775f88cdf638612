// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "format/index_view.h"
#include "io/mapped_file.h"

namespace weightmap {

// A data file beside a weight file: its mapping, or why there is none.
struct Sibling {
  std::optional<io::MappedFile> mapped;
  std::string problem;  // one line
};

// All data files but the first, in their order. `path` is that by which the weight file was opened;
// without, there is no directory to look in. Errors, where options.need_data_files: kNotFound (a
// file is missing), kIo, kCorrupt (it is another one), kUnsupported (no path). Without context.
Result<std::vector<Sibling>> open_siblings(const format::IndexView& index,
                                           const std::optional<std::string>& path,
                                           const OpenOptions& options);

}  // namespace weightmap
