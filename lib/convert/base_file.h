// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

#include "format/content.h"
#include "io/file.h"

namespace weightmap::convert {

// A weight file to whose segments another may refer, there where they are: in itself and in its
// data files. Holds all of them open.
class BaseFile {
 public:
  // Errors: those of WeightFile::open; kInvalidArgument (a file is not in the target's directory,
  // or is the target).
  static Result<BaseFile> open(const std::string& path, const std::string& target);

  const WeightFile& file() const { return file_; }

  // What a weight file beside them says of the data files, by their numbers; without segments.
  std::vector<format::DataFileContent> data_files() const;

 private:
  explicit BaseFile(WeightFile file) : file_(std::move(file)) {}

  WeightFile file_;
};

// Whether the directory of the target still has these files. Error: kIo, naming the one that was
// replaced.
Result<void> check_unchanged(const std::vector<format::DataFileContent>& files,
                             const std::string& target);

}  // namespace weightmap::convert
