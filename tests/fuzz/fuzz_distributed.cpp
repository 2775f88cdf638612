// SPDX-License-Identifier: Apache-2.0
// An input is the .metadata of files that are good.
#include "open_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weightmap::tests;
  static const TempDir& directory = directory_with({"distributed_chunks"});
  write_file(directory / ".metadata", {reinterpret_cast<const char*>(data), size});
  open_source(directory.path());
  return 0;
}
