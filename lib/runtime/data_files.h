// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weightmap/open_options.h"
#include "weightmap/result.h"

#include "format/index_view.h"
#include "runtime/opened_file.h"

namespace weightmap {

// All data files but the first, in their order. `path` is that by which the weight file was opened;
// without, there is no directory to look in. Errors, where options.need_data_files: kNotFound (a
// file is missing), kIo, kCorrupt (it is another one), kUnsupported (no path). Without context.
Result<std::vector<OpenedFile>> open_siblings(const format::IndexView& index,
                                              const std::optional<std::string>& path,
                                              const OpenOptions& options);

// What an index records of a file of this kind, to know it again (format/file_identity.h). Errors:
// those of format::identity_of, without context.
Result<Digest> identity_of(fb::DataFileKind kind, const io::File& file);

// Whether the file still is the one that `expected` records. Error: kCorrupt, without context.
Result<void> check_identity(const fb::DataFile& expected, const io::File& file);

}  // namespace weightmap
