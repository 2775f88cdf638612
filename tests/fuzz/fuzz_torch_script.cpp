// SPDX-License-Identifier: Apache-2.0
// An input is the records `data.pkl` and `constants.pkl` of a TorchScript archive, each with its
// length in front, and the code of `__torch__`.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/input.h"
#include "fuzz/open_input.h"
#include "support/checkpoint_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weightmap::tests;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string object(take_part(input));
  const std::string constants(take_part(input));
  auto entries =
      checkpoint_entries(object, {{"0", std::string(16, 'a')}, {"1", std::string(64, 'b')}});
  entries.push_back({.name = "archive/constants.pkl", .data = constants});
  entries.push_back({.name = "archive/constants/0", .data = std::string(16, 'c')});
  entries.push_back({.name = "archive/code/__torch__.py", .data = std::string(input)});
  open_input(write_zip(entries));
  return 0;
}
