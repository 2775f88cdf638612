// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace weightmap::io {

// Tells `look` each line of a file, without its end: of one whose size nobody knows before, as
// those of /proc. `directory` is a descriptor, or AT_FDCWD. Returns 0, or the error number of the
// system call that failed: here the callers' answers depend on it.
int read_lines(int directory,
               const std::string& name,
               const std::function<void(std::string_view line)>& look);

}  // namespace weightmap::io
