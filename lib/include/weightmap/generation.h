// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "weightmap/digest.h"
#include "weightmap/error.h"
#include "weightmap/result.h"

namespace weightmap {

// What the control block beside a weight file says (`<name>.generation`, FORMAT.md 11).
struct GenerationState {
  // Of the last publish that was completed; the first is 1. 0: none was.
  std::uint64_t generation = 0;
  // One is under way, or the process that began it died and nobody has published since.
  bool is_publishing = false;
  Digest digest;  // of the index of that generation's file; zero where there was none
  // Why readers do not use the block, and look at the file itself instead; then nothing else here
  // is known. Nothing: they trust it.
  std::optional<Error> problem;
};

// Nothing: no block is there, and nobody has published under this name. A link is followed.
// Cost: opens and maps 4096 bytes. Errors: kNotFound (a link that leads nowhere), kIo. Safe from
// several threads.
Result<std::optional<GenerationState>> generation_state(const std::string& path);

}  // namespace weightmap
