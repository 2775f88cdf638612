// SPDX-License-Identifier: Apache-2.0
#include "weightmap/digest.h"

#include <string_view>

namespace weightmap {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

}  // namespace

std::string Digest::hex() const {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
    text += kDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

}  // namespace weightmap
