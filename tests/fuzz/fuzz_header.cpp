// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file, and as the header of one that is as long as it says and signed.
#include <cstdint>
#include <span>

#include "format/header.h"
#include "support/raw_file.h"
#include "support/resign.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  weightmap::tests::Bytes file(bytes.begin(), bytes.end());
  (void)weightmap::format::read_header(file, file.size()).has_value();
  if (size < weightmap::format::kHeaderBytes) return 0;
  weightmap::tests::resign_header(file);
  const auto blob = weightmap::format::decode_header(file).blob;
  const auto header = weightmap::format::read_header(file, blob.end());
  if (header && blob.end() < blob.offset_bytes) __builtin_trap();
  return 0;
}
