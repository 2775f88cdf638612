// SPDX-License-Identifier: Apache-2.0
// An input is what follows the magic number in a stream from before torch 1.6.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/open_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  weightmap::tests::open_input(
      std::string(kMagic).append(reinterpret_cast<const char*>(data), size));
  return 0;
}
