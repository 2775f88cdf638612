// SPDX-License-Identifier: Apache-2.0
// An input that begins as a zip archive does is a whole file, any other is the pickle of one.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/open_input.h"
#include "support/checkpoint_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("PK")) {
    weightmap::tests::open_input(bytes);
  } else {
    weightmap::tests::open_input(weightmap::tests::checkpoint_file(
        bytes, {{"0", std::string(16, 'a')}, {"1", std::string(64, 'b')}}));
  }
  return 0;
}
