// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "support/checkpoint_check.h"

namespace weightmap::tests {

// Opens these bytes as a checkpoint, and ends the process if it breaks a promise. The file needs a
// name, but no disk.
inline void open_input(std::string_view bytes) {
  const int descriptor = ::memfd_create("checkpoint", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, bytes.data(), bytes.size()) < 0) std::abort();
  const auto found = checkpoint::open_checkpoint("/proc/self/fd/" + std::to_string(descriptor), {});
  ::close(descriptor);
  if (!found) return;
  const std::string broken = broken_promise(*found);
  if (broken.empty()) return;
  std::fprintf(stderr, "%s\n", broken.c_str());
  std::abort();
}

// Takes a part away from the front of an input: two bytes say how long it is.
inline std::string_view take_part(std::string_view& input) {
  if (input.size() < 2) return std::exchange(input, {});
  const auto size =
      static_cast<unsigned char>(input[0]) + 256U * static_cast<unsigned char>(input[1]);
  input.remove_prefix(2);
  const std::string_view part = input.substr(0, size);
  input.remove_prefix(part.size());
  return part;
}

}  // namespace weightmap::tests
