// SPDX-License-Identifier: Apache-2.0
// An input with `ustar` where a tar archive has it is a whole file. Any other is the members
// `pickle` and `tensors`, each with its length in front, and `storages`.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "fuzz/input.h"
#include "fuzz/open_input.h"

namespace {

std::string member(std::string_view name, std::string_view content) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), "%011zo", content.size());
  header.replace(124, 11, digits.data());
  header.replace(148, 8, "        ");
  header.replace(257, 5, "ustar");
  unsigned sum = 0;
  for (const char byte : header)
    sum += static_cast<unsigned char>(byte);
  std::snprintf(digits.data(), digits.size(), "%06o", sum);
  header.replace(148, 6, digits.data());
  return header.append(content).append((512 - content.size() % 512) % 512, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.size() >= 512 && input.substr(257).starts_with("ustar")) {
    weightmap::tests::open_input(input);
    return 0;
  }
  const std::string pickle = member("pickle", weightmap::tests::take_part(input));
  const std::string tensors = member("tensors", weightmap::tests::take_part(input));
  weightmap::tests::open_input(pickle + tensors + member("storages", input));
  return 0;
}
