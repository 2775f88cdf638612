// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "weightmap/digest.h"

namespace weightmap {

// XXH3 by the fastest code that this processor runs. The only place that knows xxHash.

std::uint64_t name_hash(std::string_view name);      // XXH3-64, seed 0
Digest digest_of(std::span<const std::byte> bytes);  // XXH3-128, seed 0, canonical

// The same digest of bytes that come piece by piece.
class DigestStream {
 public:
  DigestStream();
  ~DigestStream();
  DigestStream(DigestStream&&) noexcept;
  DigestStream& operator=(DigestStream&&) noexcept;
  DigestStream(const DigestStream&) = delete;
  DigestStream& operator=(const DigestStream&) = delete;

  void update(std::span<const std::byte> bytes);
  Digest finish();  // and start again with nothing

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weightmap
