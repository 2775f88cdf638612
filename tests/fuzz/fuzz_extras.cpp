// SPDX-License-Identifier: Apache-2.0
// Any bytes as extras that are signed, of a file with everything that they can refer to.
#include <cstdint>

#include "base/hash.h"
#include "format/blob.h"
#include "support/check_file.h"
#include "support/resign.h"

namespace format = weightmap::format;
namespace tests = weightmap::tests;
using weightmap::digest_of;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static tests::OpenIndex index = *tests::open_index(tests::write_raw(tests::sample_file()));
  const auto bytes = std::as_bytes(std::span(data, size));
  const tests::Bytes copy(bytes.begin(), bytes.end());
  tests::poke(index.bytes, tests::extras_digest_place(index.bytes), digest_of(copy));
  const auto extras = format::read_extras(copy, index.view);
  if (!extras) return 0;
  if (!tests::walk(*extras)) __builtin_trap();
  (void)format::check_digests_of_chunks(index.view, *extras).has_value();
  for (const std::uint32_t file : {0U, 1U})
    (void)format::recorded_chunks(index.view, *extras, file).size();
  return 0;
}
