// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "weightmap/open_options.h"
#include "weightmap/result.h"

#include "io/file.h"
#include "io/mapped_file.h"

namespace weightmap {

// A data file of a weight file in this process, and how its bytes came here.
struct OpenedFile {
  std::string path;
  std::shared_ptr<const io::MappedFile> mapped;  // null: not open. Others may share it
  std::string problem;                           // one line: why it is not open
  Mapping got = Mapping::kShared;
  std::string reason;  // why not what was asked
  bool is_from_cache = false;
  std::string lock_problem;
};

// The file mapped as the options say, or in the cache. One that is to be copied is not in memory
// before what it says was verified. Errors: those of io::MappedFile::map.
Result<OpenedFile> map_file(io::File file, const OpenOptions& options);

// Brings those files into memory that are to be copied. Errors: those of
// io::MappedFile::copy.
Result<void> copy_files(std::span<OpenedFile* const> files, const OpenOptions& options);

// What cannot be locked is told in the file.
void lock_file(OpenedFile& file);

}  // namespace weightmap
