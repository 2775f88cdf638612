// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "io/file.h"

namespace weightmap::io {

// Where a file lies, as statfs tells.
struct FileSystem {
  std::string name;  // "ext4", "NFS", "type 0x1234"; "unknown" where the system does not tell
  // Why a file there is better read than mapped; empty: it maps well.
  std::string_view objection;
};

FileSystem file_system_of(int descriptor);
FileSystem file_system_of(const File& file);

}  // namespace weightmap::io
