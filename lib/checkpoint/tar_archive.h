// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/result.h"

#include "io/file.h"

namespace weightmap::checkpoint {

struct TarMember {
  std::string name;
  std::uint64_t offset_bytes = 0;  // of its bytes, in the file
  std::uint64_t size_bytes = 0;
};

// The regular files in a tar archive (POSIX ustar, GNU's large sizes), in the order of the file.
// Long names and extended headers are passed over: what they name has its short name here.
// Messages begin with the path. Errors: kIo; kCorrupt (a checksum, a size that is no number, a
// member behind the end); kUnsupported (more than kMaxTarMembers).
inline constexpr std::size_t kMaxTarMembers = 1000;
Result<std::vector<TarMember>> read_tar(const io::File& file);

}  // namespace weightmap::checkpoint
