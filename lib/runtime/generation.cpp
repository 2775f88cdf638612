// SPDX-License-Identifier: Apache-2.0
#include "weightmap/generation.h"

#include "io/control_block.h"

namespace weightmap {
namespace {

// The digest is that of one generation if the counter has not moved meanwhile.
GenerationState read_state(const io::ControlBlock& block) {
  for (;;) {
    const std::uint64_t counter = block.counter();
    GenerationState state;
    state.generation = io::generation_of(counter);
    state.is_publishing = io::is_publishing(counter);
    state.digest = block.digest(state.generation);
    if (block.counter() == counter) return state;
  }
}

}  // namespace

Result<std::optional<GenerationState>> generation_state(const std::string& path) {
  const Result<io::FoundBlock> found = io::find_control_block(path);
  if (!found) return found.error();
  std::optional<GenerationState> state;
  if (found->block) state.emplace(read_state(*found->block));
  if (found->problem) state.emplace().problem = found->problem;
  return state;
}

}  // namespace weightmap
