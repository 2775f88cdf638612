// SPDX-License-Identifier: Apache-2.0
// An input that begins with a brace is a header, with the data behind a NUL if there is one; any
// other is a whole file.
#include <string>

#include "open_source.h"
#include "support/checkpoint_writer.h"

namespace {

using namespace weightmap::tests;

std::string with_length(const std::string& bytes) {
  const std::size_t nul = bytes.find('\0');
  if (nul == std::string::npos) return pickle::little(bytes.size(), 8) + bytes;
  return pickle::little(nul, 8) + bytes.substr(0, nul) + bytes.substr(nul + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TempDir directory;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  write_file(directory / "model.safetensors", bytes.starts_with("{") ? with_length(bytes) : bytes);
  open_source(directory / "model.safetensors");
  return 0;
}
