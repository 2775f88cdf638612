// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "fuzz/input.h"
#include "support/checkpoint_check.h"

namespace weightmap::tests {

// Opens these bytes as a checkpoint, and ends the process if it breaks a promise. The file needs a
// name, but no disk.
inline void open_input(std::string_view bytes) {
  const int descriptor = ::memfd_create("checkpoint", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, bytes.data(), bytes.size()) < 0) {
    give_up("there is no memory for a file");
  }
  const auto found = checkpoint::open_checkpoint("/proc/self/fd/" + std::to_string(descriptor), {});
  ::close(descriptor);
  if (!found) return;
  const std::string broken = broken_promise(*found);
  if (!broken.empty()) give_up(broken);
}

}  // namespace weightmap::tests
