// SPDX-License-Identifier: Apache-2.0
// An input that begins as a zip archive does is a whole file, any other is the pickle of one.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "support/checkpoint_check.h"
#include "support/checkpoint_writer.h"

namespace {

// The file needs a name, but no disk.
void open_as_file(std::string_view bytes) {
  const int descriptor = ::memfd_create("checkpoint", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, bytes.data(), bytes.size()) < 0) std::abort();
  const auto found =
      weightmap::checkpoint::open_checkpoint("/proc/self/fd/" + std::to_string(descriptor), {});
  ::close(descriptor);
  if (!found) return;
  const std::string broken = weightmap::tests::broken_promise(*found);
  if (broken.empty()) return;
  std::fprintf(stderr, "%s\n", broken.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("PK")) {
    open_as_file(bytes);
  } else {
    open_as_file(weightmap::tests::checkpoint_file(
        bytes, {{"0", std::string(16, 'a')}, {"1", std::string(64, 'b')}}));
  }
  return 0;
}
