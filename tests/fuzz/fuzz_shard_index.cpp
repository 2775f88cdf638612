// SPDX-License-Identifier: Apache-2.0
// An input is the index of shards that are good.
#include "open_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weightmap::tests;
  static const TempDir& directory = directory_with({"sharded", "sharded_bin"});
  const std::string path = directory / "model.safetensors.index.json";
  write_file(path, {reinterpret_cast<const char*>(data), size});
  open_source(path);
  return 0;
}
