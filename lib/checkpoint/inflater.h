// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "weightmap/result.h"

#include "io/file.h"

namespace weightmap::checkpoint {

// No DEFLATE stream unpacks to more than this many times its own bytes: a match of 258 bytes takes
// at least two bits.
inline constexpr std::uint64_t kMostInflation = 1032;

// Unpacks one raw DEFLATE stream, a range of a file, from front to back. Memory is a constant.
// Refers to the file. Movable.
class Inflater {
 public:
  // `what` stands behind the path in messages: "record `archive/data/0`".
  // REQUIRES: the range lies inside the file.
  Inflater(const io::File& file,
           std::uint64_t offset_bytes,
           std::uint64_t packed_bytes,
           std::string what);
  ~Inflater();
  Inflater(Inflater&&) noexcept;
  Inflater& operator=(Inflater&&) noexcept;
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // The next bytes. Errors: kIo; kCorrupt (no DEFLATE stream, or one that ends before).
  Result<void> read(std::span<std::byte> into);

  // Whether all of the stream was read. Errors: kIo; kCorrupt: it goes on.
  Result<void> expect_end();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weightmap::checkpoint
