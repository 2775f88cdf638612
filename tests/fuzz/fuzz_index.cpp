// SPDX-License-Identifier: Apache-2.0
// Any bytes as an index that is signed, in a file that fits around it: what the rules accept, no
// accessor may leave.
#include <cstdint>

#include "base/hash.h"
#include "support/check_file.h"
#include "support/resign.h"

namespace format = weightmap::format;
namespace tests = weightmap::tests;
using weightmap::digest_of;

namespace {

// Of the file around the index: features, alignment, place and size of the blob.
constexpr std::size_t kPrelude = 32;

format::Header header_around(std::span<const std::byte> prelude, std::span<const std::byte> index) {
  format::Header header;
  header.required_features = tests::peek<std::uint64_t>(prelude, 0);
  header.alignment_bytes = tests::peek<std::uint32_t>(prelude, 8);
  header.blob = {tests::peek<std::uint64_t>(prelude, 16), tests::peek<std::uint64_t>(prelude, 24)};
  header.index = {format::kHeaderBytes, index.size()};
  header.extras.offset_bytes = (header.index.end() + 7) / 8 * 8;
  header.extras.size_bytes = header.blob.offset_bytes - header.extras.offset_bytes;
  header.index_digest = digest_of(index);
  return header;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kPrelude) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const tests::Bytes index(bytes.begin() + kPrelude, bytes.end());
  const auto around = header_around(bytes.first(kPrelude), index);
  const auto header = format::read_header(format::write_header(around), around.blob.end());
  if (!header) return 0;
  const auto view = format::read_index(index, *header);
  if (view && !tests::walk(*view)) __builtin_trap();
  return 0;
}
